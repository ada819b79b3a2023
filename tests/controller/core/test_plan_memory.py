"""Dwell times and the budget of an hour are counted from all plans, and little is remembered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from controller.core.model import State
from controller.core.plan_model import (
    BY_POLICY_AT_MOST,
    Moved,
    MoveRules,
    Plan,
    PlanKind,
    PlanMemory,
    PlanStatus,
)
from controller.core.plans import policy
from controller.core.plans.asking import dwell_left_ms
from controller.core.plans.going import remembered, take_up, taken
from tests.controller.core.given import NOW
from tests.controller.core.plan_world import PlanWorld, service

SITES = ("jabodetabek", "batam", "ikn")
MINUTE_MS = 60_000
DAY_MS = 1440 * MINUTE_MS

drawn = st.lists(
    st.tuples(st.sampled_from(PlanKind), st.sampled_from(SITES), st.booleans(), st.integers(0, 90)),
    max_size=60,
)
"""Kind, site, by policy, and how many minutes after the one before it was over."""


def history(chosen: list[tuple[PlanKind, str, bool, int]]) -> tuple[Moved, ...]:
    told, at_ms = [], 0
    for number, (kind, site, by_policy, minutes) in enumerate(chosen, 1):
        begun_ms, at_ms = at_ms, at_ms + minutes * MINUTE_MS
        told.append(Moved(f"p{number}", kind, site, PlanStatus.DONE, begun_ms, at_ms, by_policy))
    return tuple(told)


def folded(past: tuple[Moved, ...]) -> tuple[Moved, ...]:
    """What a life of the controller remembers that saw one after the other."""
    known: tuple[Moved, ...] = ()
    for one in past:
        known = remembered((*known, one))
    return known


def state_of(past: tuple[Moved, ...], rules: MoveRules = MoveRules()) -> State:  # noqa: B008
    return State(1, "g", {}, plan_memory=PlanMemory(len(past), past), move_rules=rules)


@given(drawn, st.integers(1, 1440), st.integers(0, BY_POLICY_AT_MOST), st.integers(0, 3000))
def test_what_is_remembered_decides_as_all_that_ever_was_would(
    chosen: list[tuple[PlanKind, str, bool, int]], dwell_minutes: int, per_hour: int, later: int
) -> None:
    past = history(chosen)
    rules = MoveRules(dwell_ms=dwell_minutes * MINUTE_MS, per_hour=per_hour)
    now_ms = (past[-1].ended_ms if past else 0) + later * MINUTE_MS
    whole = state_of(past, rules)
    for known in (remembered(past), folded(past)):
        state = state_of(known, rules)
        for site in SITES:
            assert dwell_left_ms(state, site, now_ms) == dwell_left_ms(whole, site, now_ms)
            assert policy._last_left(state, site) == policy._last_left(whole, site)
        assert policy._spent(state, now_ms) == policy._spent(whole, now_ms)


@given(drawn)
def test_no_more_is_remembered_than_sites_and_an_hour_take(
    chosen: list[tuple[PlanKind, str, bool, int]],
) -> None:
    many = history(chosen * 10)
    assert len(folded(many)) <= len(SITES) + BY_POLICY_AT_MOST


def test_many_small_plans_do_not_end_a_dwell_time() -> None:
    left = Moved("p1", PlanKind.EVACUATE, "jabodetabek", PlanStatus.DONE, NOW, NOW)
    state = take_up(state_of((), MoveRules(dwell_ms=DAY_MS)), None, (left,), 1, NOW)
    for number in range(2, 40):
        small = Plan(f"drill-ikn-{number}", PlanKind.DRILL, "ikn", "siti", status=PlanStatus.DONE)
        state = taken(state, small, NOW + number)
    assert dwell_left_ms(state, "jabodetabek", NOW + DAY_MS - 1) == 1


def test_a_site_that_was_left_before_many_drills_is_not_gone_back_to_within_its_dwell_time() -> (
    None
):
    world = PlanWorld([service("paspor")])
    rules = MoveRules(dwell_ms=DAY_MS)
    world.state = replace(world.state, move_rules=rules)
    world.ask(PlanKind.EVACUATE)
    for _ in range(20):
        world.finish()
        world.run(20_000)
        assert world.ask(PlanKind.DRILL, "batam").accepted
    world.finish()
    world.run(20_000)
    answer = world.ask(PlanKind.FAILBACK)
    assert not answer.accepted
    assert "jabodetabek was left less than 24 h ago" in " ".join(answer.unmet)
