"""A clock of a simulated host may change its rate, within the bound that leases are made for."""

from __future__ import annotations

import pytest

from simulator.parts.clock import RATE_MOST_PPM, Clock

NOW_MS = 10_000


@pytest.mark.parametrize("rate_ppm", [-RATE_MOST_PPM, 0, RATE_MOST_PPM])
def test_no_change_of_rate_brings_a_moment_sooner_than_the_soonest(rate_ppm: int) -> None:
    """To the millisecond: the fastest clock brings it just then."""
    clock = Clock(rate_ppm, 700, 0)
    shown_ms = clock.read_ms(NOW_MS)
    soonest_ms = clock.soonest_ms(shown_ms + 2000, NOW_MS)
    comes_ms = []
    for then_ppm in (-RATE_MOST_PPM, 0, RATE_MOST_PPM):
        clock.change_rate(then_ppm, NOW_MS)
        assert clock.read_ms(NOW_MS) == shown_ms
        comes_ms.append(clock.true_ms(shown_ms + 2000))
    assert comes_ms == sorted(comes_ms, reverse=True)
    assert comes_ms[-1] - soonest_ms in (0, 1)
