"""In a group the earlier ones go first, nobody waits in a circle, and nobody without an end."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from msgspec.structs import replace

from controller.core.conditions.room import in_turn
from controller.core.events import Kind, Requested, Tick
from controller.core.gates import turns
from controller.core.model import HeldFor, Hold, Phase, ServiceState, State
from controller.core.phases import first_row
from controller.core.step import step
from tests.controller.core.company import company, look, renamed
from tests.controller.core.given import NOW, Given, filling

DEAD = "jabodetabek-1"


def certain(name: str, order: int, **changes: object) -> ServiceState:
    """In COUNTDOWN, and nobody can be writing any more."""
    counted = Given(Phase.COUNTDOWN).stopped()
    counted.seen(primary_heard_ms=NOW - 3000, **changes)
    return renamed(counted, name, group="super", order=order)


def protected(name: str, order: int, unheard_ms: int, given: Given | None = None) -> ServiceState:
    quiet = given or Given(Phase.PROTECTED)
    quiet.seen(proven_ms=NOW - unheard_ms, primary_heard_ms=NOW - unheard_ms, entered_ms=0)
    return renamed(quiet, name, group="super", order=order)


def promoted(state: State) -> list[str]:
    """Who becomes primary, in their order, where every promotion takes two steps."""
    found: list[str] = []
    for moment in range(12):
        state, _ = step(state, Tick(), NOW + moment)
        phases = {name: s.record.phase for name, s in state.services.items()}
        found += [n for n, p in phases.items() if p is Phase.PROMOTING and n not in found]
        done = {
            name: replace(s, record=replace(s.record, phase=Phase.ROUTING))
            if s.record.phase is Phase.PROMOTING and moment % 2
            else s
            for name, s in state.services.items()
        }
        state = replace(state, services=done)
    return found


@pytest.mark.parametrize("names", list(itertools.permutations(("files", "front", "cache"))))
def test_a_group_is_promoted_in_its_order_whoever_comes_first_in_the_file(
    names: tuple[str, ...],
) -> None:
    orders = {"files": 1, "cache": 2, "front": 3}
    assert promoted(company(*(certain(name, orders[name]) for name in names))) == [
        "files", "cache", "front",
    ]  # fmt: skip


def test_those_of_one_order_go_together() -> None:
    state, _ = step(company(certain("a", 1), certain("b", 1)), Tick(), NOW)
    assert {s.record.phase for s in state.services.values()} == {Phase.PROMOTING}


@pytest.mark.parametrize("phase", [Phase.COUNTDOWN, Phase.DRAINING])
def test_one_that_is_on_its_way_is_waited_for(phase: Phase) -> None:
    state = company(renamed(Given(phase), "first", group="super", order=1), certain("second", 2))
    assert turns.ahead(look(state, "second")) == ("first",)


def test_the_sentence_names_whom_it_waits_for() -> None:
    state = company(certain("second", 2), certain("first", 1))

    assert in_turn.sentence(look(state, "second")) == (
        "first of the group super goes first, and is on its way to batam"
    )


@pytest.mark.parametrize("reason", [HeldFor.LOSS, HeldFor.CAPACITY, HeldFor.FORCED])
def test_nobody_waits_for_one_that_is_held(reason: HeldFor) -> None:
    held = renamed(Given(Phase.HELD).held(reason), "first", group="super", order=1)
    assert turns.ahead(look(company(held, certain("second", 2)), "second")) == ()


def test_nobody_waits_for_another_group_or_another_site_or_a_later_one() -> None:
    other = replace(certain("other", 1), spec=replace(certain("other", 1).spec, group="else"))
    away = renamed(Given(Phase.COUNTDOWN), "away", home="batam", group="super", order=1)
    state = company(other, away, certain("later", 3), certain("second", 2))
    assert turns.ahead(look(state, "second")) == ()


def test_an_earlier_one_with_a_longer_lease_on_the_same_dead_host_is_not_overtaken() -> None:
    slow = replace(Given(Phase.PROTECTED).spec.terms, ttl_ms=30_000, renew_ms=10_000)
    given = Given(Phase.PROTECTED)
    given.seen(record=replace(given.service.record, terms=slow))
    for unheard_ms in (2500, 10_000, 20_000):
        first = protected("first", 1, unheard_ms, given)
        state = company(first, certain("second", 2, entered_ms=NOW - unheard_ms + 1500))
        assert turns.ahead(look(state, "second")) == ("first",), unheard_ms


def test_an_earlier_one_whose_agent_spoke_since_the_countdown_began_is_not_waited_for() -> None:
    heard = protected("first", 1, unheard_ms=200)
    assert turns.ahead(look(company(heard, certain("second", 2)), "second")) == ()


def test_an_earlier_one_that_commits_on_behind_a_cut_link_is_not_waited_for_long() -> None:
    cut = protected("first", 1, unheard_ms=5000)
    assert turns.ahead(look(company(cut, certain("second", 2)), "second")) == ()


def test_nobody_waits_for_one_that_is_paused_or_on_hold() -> None:
    for change in (
        {"paused": "by siti: a look"},
        {"hold": Hold("siti", "an alarm", "service", 60_000)},
    ):
        first = protected("first", 1, unheard_ms=1800)
        first = replace(first, record=replace(first.record, **change))
        assert turns.ahead(look(company(first, certain("second", 2)), "second")) == ()


def test_the_wait_has_an_end() -> None:
    stuck = replace(certain("first", 1), record=replace(certain("first", 1).record))
    state = company(stuck, certain("second", 2))
    longest_ms = turns.patience_ms(
        state.services["second"].record, [state.services["first"].record]
    )
    assert longest_ms < 20_000
    waits = look(state, "second", entered_ms=NOW - longest_ms + 1)
    assert turns.ahead(waits) == ("first",)
    assert turns.ahead(look(state, "second", entered_ms=NOW - longest_ms)) == ()


def planned(first: ServiceState, given: Given) -> tuple[Phase, str]:
    """What becomes of the second one, which an operator wants to move."""
    state = company(first, renamed(given, "second", group="super", order=2))
    ask = Requested("r", Kind.SWITCHOVER, "second", "siti", epoch=1)
    state, actions = step(state, ask, NOW)
    return state.services["second"].record.phase, str(actions[-1])


def test_a_planned_move_that_cannot_have_its_turn_is_refused_before_anything_stops() -> None:
    """Also where the service has been PROTECTED for longer than it would ever wait."""
    long_since = Given(Phase.PROTECTED).seen(entered_ms=0)
    phase, answer = planned(certain("first", 1), long_since)
    assert phase is Phase.PROTECTED
    assert "first of the group super goes first, and is on its way to batam" in answer


def test_a_planned_move_does_not_wait_for_an_earlier_one_that_stands_still() -> None:
    second = certain("second", 2)
    long_ms = turns.patience_ms(second.record, [certain("first", 1).record])
    late = certain("first", 1, entered_ms=NOW - long_ms + 1)
    assert planned(late, Given(Phase.PROTECTED))[0] is Phase.PROTECTED
    stuck = replace(certain("first", 1), entered_ms=NOW - long_ms)
    stuck = replace(stuck, reports={})
    assert planned(stuck, Given(Phase.PROTECTED))[0] is Phase.DRAINING


def test_a_disk_that_fills_moves_nobody_out_of_turn() -> None:
    second = renamed(filling(), "second", group="super", order=2)
    row = first_row(look(company(second), "second"))
    assert row is not None and row.name == "disk_filling"
    assert first_row(look(company(second, certain("first", 1)), "second")) is None


def test_a_switchover_of_one_service_is_not_blocked_by_others_that_stay() -> None:
    stays = renamed(Given(Phase.PROTECTED), "first", group="super", order=1)
    stays = replace(stays, primary_heard_ms=NOW - 100)
    moves = renamed(Given(Phase.DRAINING), "second", group="super", order=2)
    assert turns.ahead(look(company(stays, moves), "second")) == ()
    assert Kind.SWITCHOVER.value == "switchover"


@drawn(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(list(Phase))), max_size=6))
def test_somebody_can_always_go_on(kinds: list[tuple[int, Phase]]) -> None:
    """The lowest of those on their way waits for nobody: no circle is possible."""
    services = [
        renamed(Given(phase), f"s{n}", group="super", order=order)
        for n, (order, phase) in enumerate(kinds)
    ]
    state = company(*services)
    moving = [s for s in services if s.record.phase in turns.ON_ITS_WAY]
    moving = [s for s in moving if s.record.phase is not Phase.PROMOTING]
    if moving:
        assert any(
            all(other not in turns.ahead(look(state, s.spec.name)) for other in
                (m.spec.name for m in moving))
            for s in moving
        )  # fmt: skip
