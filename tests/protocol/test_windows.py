"""The grantor's window ends after the holder's, whatever the clocks do within 1 %."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from protocol.messages import LeaseTerms
from protocol.windows import grantor_window_ms, holder_window_ms, silence_ms


@given(
    st.integers(1, 600_000),
    st.floats(0.99, 1.01),
    st.floats(0.99, 1.01),
    st.floats(0, 1000),
)
def test_the_holder_is_done_before_the_grantor_lets_go(
    ttl_ms: int, holder_rate: float, grantor_rate: float, flight_ms: float
) -> None:
    """A clock of rate r shows a window of w after w / r of true time."""
    holder_done = holder_window_ms(ttl_ms) / holder_rate
    grantor_done = flight_ms + grantor_window_ms(ttl_ms) / grantor_rate
    assert holder_done <= grantor_done + 1e-6


def test_silence_is_two_missed_renewals_or_half_the_lease() -> None:
    assert silence_ms(LeaseTerms(2000, 400, 300, 0, 0)) == 1000
    assert silence_ms(LeaseTerms(6000, 3500, 300, 0, 0)) == 7000
