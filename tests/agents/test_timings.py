"""What an agent knows of its renewals and kills: exact, bounded, and of a leased primary alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.metrics import Metrics
from agents.spread import Spread
from agents.timings import KILLS_TO_JUDGE, RENEWALS_TO_JUDGE, Timings
from protocol.messages import LeaseTerms

TERMS = LeaseTerms(2000, 400, 300, 1000, 3000)


def spread_of(values: list[int], kept: int = 10_000) -> Spread:
    spread = Spread(kept)
    for value in values:
        spread.add(value)
    return spread


@given(st.lists(st.integers(0, 50), min_size=1, max_size=300), st.integers(1, 1000))
def test_a_percentile_is_the_value_of_that_rank_among_the_last_ones(
    values: list[int], per_mille: int
) -> None:
    last = sorted(values[-100:])
    rank = -(-len(last) * per_mille // 1000)
    assert spread_of(values, 100).percentile_ms(per_mille) == last[rank - 1]


def test_without_values_every_percentile_is_0_and_a_negative_span_is_refused() -> None:
    spread = Spread()
    assert (len(spread), spread.percentile_ms(999)) == (0, 0)
    with pytest.raises(ValueError, match="-1 ms"):
        spread.add(-1)


def test_of_ten_thousand_the_p999_leaves_out_the_ten_highest() -> None:
    assert spread_of([400] * 9_990 + [900] * 10).percentile_ms(999) == 400
    assert spread_of([400] * 9_989 + [900] * 11).percentile_ms(999) == 900


def renewed(timings: Timings, count: int, every_ms: int, from_ms: int = 0) -> int:
    moment_ms = from_ms
    for _ in range(count):
        timings.extended(moment_ms)
        moment_ms += every_ms
    return moment_ms


def test_the_p999_of_the_gaps_is_told_only_once_enough_were_seen() -> None:
    timings = Timings()
    end_ms = renewed(timings, RENEWALS_TO_JUDGE, 410)
    assert timings.renewal_gap_p999_ms == 0
    assert timings.extended(end_ms) == 410
    assert timings.renewal_gap_p999_ms == 410


def test_a_fence_or_a_time_alone_between_two_extensions_is_no_gap() -> None:
    timings = Timings()
    end_ms = renewed(timings, RENEWALS_TO_JUDGE + 1, 400)
    timings.interrupted()
    assert timings.extended(end_ms + 3_600_000) is None
    assert timings.renewal_gap_p999_ms == 400


def test_other_terms_make_the_agent_measure_anew() -> None:
    timings = Timings()
    timings.under(TERMS)
    renewed(timings, RENEWALS_TO_JUDGE + 1, 400)
    timings.under(TERMS)
    assert timings.renewal_gap_p999_ms == 400
    timings.under(LeaseTerms(6000, 1000, 500, 3000, 5000))
    assert timings.renewal_gap_p999_ms == 0


def test_kills_are_judged_after_some_and_by_the_slowest() -> None:
    timings = Timings()
    for number in range(KILLS_TO_JUDGE - 1):
        timings.killed(10 + number)
    assert timings.kill_p999_ms == 0
    timings.killed(77)
    assert timings.kill_p999_ms == 77


def test_prometheus_sees_each_gap_and_the_p999_once_it_is_known() -> None:
    metrics = Metrics("jabodetabek-1", "jabodetabek")
    for number in range(RENEWALS_TO_JUDGE + 1):
        metrics.renewed("paspor", number * 430)
    text = metrics.text().decode()
    assert 'saling_agent_renewal_gap_seconds_count{service="paspor"} 500.0' in text
    assert 'saling_agent_renewal_gap_seconds_bucket{le="0.42",service="paspor"} 0.0' in text
    assert 'saling_agent_renewal_gap_p999_seconds{service="paspor"} 0.43' in text
    assert 'saling_agent_kill_p999_seconds{service="paspor"}' not in text
