"""What is told of a way to another site, and whose list of ways counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.core.paths import (
    KEPT_MS,
    PROBES_KEPT,
    TERM_KEPT_MS,
    Found,
    PathWindow,
    ProbeList,
    clock_off,
    median,
    take_list,
)
from protocol.messages import Header, Order, Path, Probe

AWAY = "ikn-1"


def window(*found: Found) -> PathWindow:
    made = PathWindow()
    made.ask(found[0].at_ms if found else 0)
    for one in found:
        made.take(one)
    return made


def answered(at_ms: int, round_trip_us: int = 20_000, ahead_ms: int | None = 3) -> Found:
    return Found(at_ms, True, round_trip_us, ahead_ms)


def lost(at_ms: int) -> Found:
    return Found(at_ms, False)


def test_a_way_that_was_never_asked_tells_nothing() -> None:
    assert PathWindow().path(AWAY, 5000) == Path(AWAY)


def test_loss_round_trip_age_and_clock_are_those_of_the_last_probes() -> None:
    made = window(
        answered(1000, 30_000), lost(2000), answered(3000, 10_000), answered(4000, 20_000)
    )
    assert made.path(AWAY, 4300) == Path(AWAY, 4, 1, 20_000, 300, 3)


def test_one_slow_answer_does_not_move_the_round_trip() -> None:
    made = window(*(answered(1000 * n, 20_000) for n in range(9)), answered(9000, 700_000))
    assert made.path(AWAY, 9000).round_trip_us == 20_000


def test_the_age_counts_from_the_first_probe_where_no_answer_ever_came() -> None:
    made = window(lost(1000), lost(2000), lost(3000))
    assert made.path(AWAY, 3500) == Path(AWAY, 3, 3, 0, 2500, 0)


def test_the_age_of_the_last_answer_outlives_the_answers_that_are_kept() -> None:
    made = window(answered(1000), *(lost(1000 * n) for n in range(2, 200)))
    told = made.path(AWAY, 200_000)
    assert (told.asked, told.lost, told.answer_age_ms) == (PROBES_KEPT, PROBES_KEPT, 199_000)


def test_an_observer_that_could_not_ask_for_long_tells_of_no_loss() -> None:
    made = window(answered(1000), lost(2000))
    told = made.path(AWAY, 2000 + KEPT_MS + 1)
    assert (told.asked, told.lost, told.answer_age_ms) == (0, 0, KEPT_MS + 1001)


def test_an_agent_that_says_no_time_has_no_clock_to_compare() -> None:
    assert window(answered(1000, ahead_ms=None)).clock_ahead_ms(1000) is None
    assert window(answered(1000, ahead_ms=-7), lost(2000)).clock_ahead_ms(2000) == -7


@given(st.lists(st.integers(), min_size=1))
def test_the_median_is_one_of_the_values_and_stands_in_their_middle(values: list[int]) -> None:
    middle = median(values)
    assert middle in values
    assert sum(value < middle for value in values) <= len(values) / 2
    assert sum(value > middle for value in values) <= len(values) / 2


@given(
    st.lists(st.tuples(st.integers(1, 5000), st.booleans()), max_size=60), st.integers(0, 90_000)
)
def test_what_is_told_never_exceeds_what_was_asked(
    steps: list[tuple[int, bool]], later_ms: int
) -> None:
    made, at_ms = PathWindow(), 0
    for step_ms, is_answered in steps:
        at_ms += step_ms
        made.ask(at_ms)
        made.take(answered(at_ms) if is_answered else lost(at_ms))
    told = made.path(AWAY, at_ms + later_ms)
    assert 0 <= told.lost <= told.asked <= min(PROBES_KEPT, len(steps))
    assert bool(told.round_trip_us) == (told.asked > told.lost)
    assert told.answer_age_ms >= later_ms or not steps


# Whose list counts.

IKN, BATAM = Probe(AWAY, "ikn", "ikn.example:8701"), Probe("batam-1", "batam", "b.example:8701")


def order(name: str, *probes: Probe, term: int = 3) -> Order:
    header = Header("testing", "controller", "boot", "life", 1)
    return Order(header, "jabodetabek-1", term, "store", (), name, probes)


def test_an_order_without_a_list_says_nothing_of_it() -> None:
    known = take_list(ProbeList(), order("a", IKN), 0)
    assert take_list(known, order(""), 500) == ProbeList("a", (IKN,), 3, 500)


def test_a_named_list_without_probes_ends_them_all() -> None:
    known = take_list(ProbeList(), order("a", IKN), 0)
    assert take_list(known, order("b"), 500).probes == ()


def test_each_agent_is_probed_once_where_a_list_names_it_twice() -> None:
    moved = Probe(AWAY, "ikn", "elsewhere.example:8701")
    assert take_list(ProbeList(), order("a", IKN, BATAM, moved), 0).probes == (IKN, BATAM)


@pytest.mark.parametrize(("later_ms", "name"), [(TERM_KEPT_MS - 1, "new"), (TERM_KEPT_MS, "old")])
def test_a_replaced_leader_is_not_followed_while_the_new_one_is_heard(
    later_ms: int, name: str
) -> None:
    known = take_list(ProbeList(), order("new", IKN, term=4), 0)
    assert take_list(known, order("old", BATAM, term=3), later_ms).name == name


# Whose clock is wrong.


@pytest.mark.parametrize(
    ("aheads_ms", "probed", "says"),
    [
        ((900, 1100, 1000), 3, "1000 ms behind those of 3 of 3 agents"),
        ((-900, -1100, 3), 3, "900 ms ahead of those of 2 of 3 agents"),
        ((900, 3, -2), 3, ""),
        ((900, -900), 2, ""),
        ((900,), 1, ""),
        ((900, 900), 4, ""),
        ((900, 900, 900), 4, "900 ms behind those of 3 of 4 agents"),
        ((500, 500, -500), 3, ""),
        ((), 0, ""),
    ],
)
def test_a_clock_is_off_only_when_most_of_those_that_are_probed_agree(
    aheads_ms: tuple[int, ...], probed: int, says: str
) -> None:
    told = clock_off(aheads_ms, probed, 500)
    assert (says in told) if says else told == ""
