"""A local veto in the centre: its backup is as good as lost, its primary is not moved by plan."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from controller.core.actions import Answer, SendOrder, Swap
from controller.core.conditions import pair as conditions
from controller.core.events import Kind, Requested, Tick
from controller.core.explanation.explain import explain
from controller.core.model import HeldFor, Phase
from controller.core.orders.assignments import assignment_for
from controller.core.phases import TABLE, first_row
from controller.core.step import step
from protocol.messages import Mode, Role
from tests.controller.core.given import NOW, UID, A, B, Given, backup_report, primary_report
from tests.controller.core.holding import HOUR_MS, unwilling

P = Phase
VETO = {"veto": "siti: a new disk", "veto_left_ms": HOUR_MS}


def refused(given: Given, kind: Kind) -> tuple[str, ...]:
    _, actions = step(given.state(), Requested("r", kind, UID, "sri"), NOW)
    told = next(action for action in actions if isinstance(action, Answer))
    assert not told.accepted
    return told.unmet


def test_every_row_to_a_promotion_asks_whether_the_backup_is_willing() -> None:
    for row in TABLE:
        if row.target is P.PROMOTING and row.source is not P.PROMOTING:
            assert "backup_willing" in {condition.name for condition in row.when}, row.name


def test_the_primary_of_an_unwilling_backup_stands_alone_and_both_grantors_go_on() -> None:
    state, actions = step(unwilling(P.PROTECTED).state(), Tick(), NOW)
    service = state.services[UID]
    assert service.record.phase is P.ALONE
    assert "siti: a new disk; 1 h left" in service.record.because
    backup = assignment_for(service, B, 1)
    assert backup is not None
    assert backup.may_grant
    orders = [n for n, action in enumerate(actions) if isinstance(action, SendOrder)]
    assert next(n for n, a in enumerate(actions) if isinstance(a, Swap)) < min(orders)


def test_a_primary_that_proves_nothing_is_not_sent_alone() -> None:
    given = unwilling(P.PROTECTED).silent()
    given.backup(backup_report(primary_heard=False, **VETO))
    assert first_row(given.view()) is None


def test_it_is_not_armed_while_the_veto_lasts_and_is_afterwards() -> None:
    given = Given(P.ALONE).primary(primary_report(mode=Mode.ALONE)).backup(backup_report(**VETO))
    assert first_row(given.view()) is None
    given.backup(backup_report())
    row = first_row(given.view())
    assert row is not None
    assert row.name == "backup_ready"


@pytest.mark.parametrize("phase", Phase)
def test_a_backup_is_told_that_it_is_being_moved_to_while_that_is_under_way(phase: Phase) -> None:
    service = Given(phase, held_for=HeldFor.LOSS).service
    told = {agent: assignment_for(service, agent, 1) for agent in (A, B)}
    moving = {agent: made is not None and made.moving for agent, made in told.items()}
    assert moving == {A: False, B: phase is P.DRAINING}


def test_a_move_waits_for_a_backup_that_has_taken_its_order() -> None:
    """Under it no veto is taken any more, so what it says then is the last word."""
    (drained,) = [row for row in TABLE if (row.source, row.target) == (P.DRAINING, P.PROMOTING)]
    assert "backup_stands" in {condition.name for condition in drained.when}
    given = Given(P.DRAINING).backup(backup_report(revision=9))
    assert not conditions.backup_stands(given.view())


def test_a_countdown_does_not_end_in_a_promotion_onto_it() -> None:
    given = Given(P.COUNTDOWN).stopped(**VETO)
    assert first_row(given.view()) is None
    told = explain(given.service, NOW)
    way = next(way for way in told.ways if way.name == "fence_certain")
    (unmet,) = [clause.text for clause in way.clauses if not clause.holds]
    assert "`saling-agent release` there ends that" in unmet


def test_the_log_that_arrived_promotes_nobody() -> None:
    given = Given(P.HELD, held_for=HeldFor.LOSS).stopped(log_taken=True, **VETO)
    told = primary_report(role=Role.DOWN, fenced=True, writable=False)
    given.primary(told).seen(fenced_since_ms=NOW - 100)
    assert first_row(given.view()) is None


def test_a_planned_move_from_a_vetoing_primary_is_refused_with_the_ways_out() -> None:
    given = Given(P.PROTECTED).primary(primary_report(**VETO))
    (unmet,) = refused(given, Kind.SWITCHOVER)
    assert f"an operator of {A}'s host forbids any change of its role (siti: a new disk" in unmet
    assert "`saling-agent release` there ends that" in unmet
    assert f"if {A} is lost, {B} takes over all the same" in unmet


def test_a_dead_host_has_no_say() -> None:
    given = Given(P.PROTECTED).silent()
    given.primary(primary_report(**VETO), age_ms=3000)
    row = first_row(given.view())
    assert row is not None
    assert row.name == "primary_silent"


def test_an_engine_that_gave_up_is_handed_over_though_its_host_vetoes() -> None:
    told = primary_report(role=Role.DOWN, handover=True, writable=False, **VETO)
    row = first_row(Given(P.PROTECTED).primary(told).view())
    assert row is not None
    assert row.name == "primary_gave_up"


def test_it_raises_readiness_and_says_at_which_host() -> None:
    quiet = explain(Given(P.PROTECTED).service, NOW)
    assert quiet.readiness == ""
    told = explain(Given(P.PROTECTED).primary(primary_report(**VETO)).service, NOW)
    assert f"an operator of {A}'s host forbids any change of its role" in told.readiness
    both = Given(P.ALONE).primary(primary_report(**VETO)).backup(backup_report(**VETO))
    assert B in explain(both.service, NOW).readiness


def test_a_veto_of_an_agent_that_is_not_heard_any_more_does_not_count() -> None:
    service = replace(Given(P.ALONE).backup(backup_report(**VETO), age_ms=60_000).service)
    assert explain(service, NOW).readiness == ""
