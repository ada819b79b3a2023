"""An integrity hold: nobody takes over while it lasts, in whatever phase it was placed."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from controller.core.actions import Action, Answer, SendGrant, SendOrder, Swap
from controller.core.events import Kind, Requested, Tick
from controller.core.explanation.explain import explain
from controller.core.invariants import InvariantBroken, check_change
from controller.core.model import HeldFor, Hold, Phase, State
from controller.core.orders.assignments import ORDERS, assignment_for
from controller.core.phases import TABLE, first_row
from controller.core.step import begin, step
from protocol.messages import Role
from tests.controller.core.given import NOW, UID, A, B, Given, asked, backup_report, primary_report

P = Phase
HOUR_MS = 3_600_000
HOLD = Hold("siti", "files are encrypted", "service", 4 * HOUR_MS)
ASKED: dict[str, Any] = {"reason": "files are encrypted", "for_ms": 4 * HOUR_MS}


def ask(given: Given, kind: Kind, **changes: Any) -> tuple[State, list[Action]]:
    return step(given.state(), replace(Requested("r", kind, UID, "siti"), **changes), NOW)


def answer(actions: list[Action]) -> Answer:
    return next(action for action in actions if isinstance(action, Answer))


def on_hold(phase: Phase, **changes: Any) -> Given:
    return Given(phase, hold=HOLD, **changes).seen(hold_ms=NOW - 60_000)


@pytest.mark.parametrize("phase", Phase)
def test_it_can_be_placed_in_every_phase_and_moves_nothing_but_a_drain(phase: Phase) -> None:
    state, actions = ask(Given(phase, hold_ran_out=True), Kind.HOLD, **ASKED)
    record = state.services[UID].record
    assert answer(actions).accepted
    assert (record.hold, record.hold_ran_out) == (HOLD, False)
    swap = next(action for action in actions if isinstance(action, Swap))
    assert swap.transition.to_phase == (P.PROTECTED if phase is P.DRAINING else phase)
    assert (swap.transition.by, swap.transition.reason) == ("siti", "files are encrypted")


def test_no_row_leads_to_a_promotion_a_countdown_or_a_drain_under_a_hold() -> None:
    for row in TABLE:
        if row.target in (P.PROMOTING, P.COUNTDOWN, P.DRAINING) and row.source is not row.target:
            names = {condition.name for condition in row.when}
            # In DRAINING there is no hold: placing one calls the drain off.
            assert "not_on_hold" in names or row.source is P.DRAINING, row.name


@pytest.mark.parametrize("phase", [P.COUNTDOWN, P.HELD, P.DRAINING])
def test_a_promotion_under_a_hold_breaks_an_invariant(phase: Phase) -> None:
    old = Given(phase, hold=HOLD, held_for=HeldFor.LOSS).service.record
    moved = replace(
        old, revision=11, phase=P.PROMOTING, epoch=2, primary=old.backup, backup=old.primary
    )
    check_change(replace(old, hold=None), replace(moved, hold=None))
    with pytest.raises(InvariantBroken, match="under an integrity hold nobody is moved"):
        check_change(old, moved)


@pytest.mark.parametrize("phase", [P.COUNTDOWN, P.DRAINING])
def test_a_move_that_begins_under_a_hold_breaks_an_invariant(phase: Phase) -> None:
    old = Given(P.PROTECTED, hold=HOLD).service.record
    with pytest.raises(InvariantBroken, match="under an integrity hold nobody is moved"):
        check_change(old, replace(old, revision=11, phase=phase))


def test_a_silent_primary_is_not_counted_down_and_explain_says_what_is_in_the_way() -> None:
    given = on_hold(P.PROTECTED).silent()
    assert first_row(given.view()) is None
    told = explain(given.service, NOW)
    assert "siti: files are encrypted; 3 h 59 min left" in told.advice
    assert "`saling release paspor`" in told.advice
    way = next(way for way in told.ways if way.name == "primary_silent")
    (unmet,) = [clause.text for clause in way.clauses if not clause.holds]
    assert unmet.startswith("an integrity hold is on (siti: files are encrypted; 3 h 59 min left)")


def test_an_engine_that_gave_up_is_not_handed_over() -> None:
    told = primary_report(role=Role.DOWN, handover=True, writable=False)
    assert first_row(on_hold(P.PROTECTED).primary(told).view()) is None


def test_a_countdown_waits_though_nobody_can_be_writing_any_more() -> None:
    assert first_row(on_hold(P.COUNTDOWN).stopped().view()) is None


def test_a_countdown_goes_back_when_the_primary_commits_again_and_stays_on_hold() -> None:
    given = on_hold(P.COUNTDOWN)
    state, _ = step(given.state(), Tick(), NOW)
    record = state.services[UID].record
    assert (record.phase, record.hold) == (P.PROTECTED, HOLD)


def test_placed_in_a_countdown_it_stops_the_promotion_and_the_record_says_so() -> None:
    state, actions = ask(Given(P.COUNTDOWN).stopped(), Kind.HOLD, **ASKED)
    record = state.services[UID].record
    assert record.phase is P.COUNTDOWN
    assert f"{B} does not take over until it ends" in record.because
    orders = [action.assignment for action in actions if isinstance(action, SendOrder)]
    assert {order.countdown for order in orders} == {True}
    assert not any(order.may_grant for order in orders)


def test_the_log_that_arrived_under_a_hold_promotes_nobody() -> None:
    given = on_hold(P.HELD, held_for=HeldFor.LOSS).stopped(log_taken=True)
    told = primary_report(role=Role.DOWN, fenced=True, writable=False)
    given.primary(told).seen(fenced_since_ms=NOW - 100)
    assert first_row(given.view()) is None


@pytest.mark.parametrize("kind", [Kind.SWITCHOVER, Kind.FAILOVER])
def test_an_operators_move_is_refused_and_says_to_release_it_first(kind: Kind) -> None:
    given = on_hold(P.PROTECTED)
    given = given.silent() if kind is Kind.FAILOVER else given
    _, actions = ask(given, kind)
    told = answer(actions)
    assert not told.accepted
    (unmet,) = told.unmet
    assert "replication carries damage too" in unmet
    assert "`saling release paspor`" in unmet


def test_an_approval_of_a_loss_is_refused() -> None:
    given = on_hold(P.HELD, held_for=HeldFor.LOSS).stopped()
    _, actions = ask(given, Kind.APPROVE, epoch=1, loss_bytes=10**9, loss_ms=10**9)
    assert not answer(actions).accepted
    assert "`saling release paspor`" in "".join(answer(actions).unmet)


def test_leases_go_on_being_granted_and_nobody_is_fenced() -> None:
    state, actions = ask(Given(P.PROTECTED), Kind.HOLD, **ASKED)
    backup = assignment_for(state.services[UID], B, 1)
    assert backup is not None
    assert backup.may_grant is ORDERS[P.PROTECTED].backup_grants
    _, actions = step(state, asked(revision=10), NOW + 10)
    (grant,) = [action for action in actions if isinstance(action, SendGrant)]
    assert grant.grants[0].ttl_ms > 0


def test_a_drain_is_called_off_and_its_operation_given_up() -> None:
    state, actions = ask(Given(P.DRAINING), Kind.HOLD, **ASKED)
    record = state.services[UID].record
    assert (record.phase, record.operation, record.hold) == (P.PROTECTED, None, HOLD)
    swap = next(action for action in actions if isinstance(action, Swap))
    assert "the move is called off" in swap.transition.because


def test_a_promotion_that_was_swapped_goes_on_and_the_hold_is_kept_for_after() -> None:
    state, _ = ask(Given(P.PROMOTING, epoch=2, primary=B, backup=A), Kind.HOLD, **ASKED)
    service = state.services[UID]
    assert service.record.hold == HOLD
    told = backup_report(
        revision=11, epoch=2, role=Role.PRIMARY, writable=True, streaming=False, promise_left_ms=0
    )
    service = Given(P.PROMOTING).seen(record=service.record, spec=service.spec).backup(told).service
    state, _ = step(State(1, "g", {UID: service}), Tick(), NOW)
    assert state.services[UID].record.phase is P.ROUTING
    assert state.services[UID].record.hold == HOLD


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not P.DRAINING])
def test_a_release_ends_it(phase: Phase) -> None:
    state, actions = ask(on_hold(phase), Kind.RELEASE, reason="a false alarm")
    assert answer(actions).accepted
    assert "was released by siti: a false alarm" in answer(actions).text
    record = state.services[UID].record
    assert (record.hold, record.hold_ran_out) == (None, False)


def test_a_release_of_what_is_not_on_hold_is_no_error_and_changes_nothing() -> None:
    state, actions = ask(Given(P.PROTECTED), Kind.RELEASE)
    assert (answer(actions).accepted, answer(actions).text) == (
        True, "no integrity hold is on paspor",
    )  # fmt: skip
    assert state.services[UID].record.revision == 10


def test_a_release_lets_the_failover_that_waited_for_it_go_on() -> None:
    state, actions = ask(on_hold(P.COUNTDOWN).stopped(), Kind.RELEASE)
    assert f"the failover to {B} goes on" in answer(actions).text
    # Every grantor must say under the new revision that it has stopped.
    assert state.services[UID].record.phase is P.COUNTDOWN


def test_it_ends_by_itself_with_a_line_in_the_history() -> None:
    given = on_hold(P.PROTECTED).seen(hold_ms=NOW - 4 * HOUR_MS)
    state, actions = step(given.state(), Tick(), NOW)
    record = state.services[UID].record
    assert (record.hold, record.hold_ran_out) == (None, True)
    (swap,) = [action for action in actions if isinstance(action, Swap)]
    assert swap.transition.because == (
        "the 4 h of the integrity hold (siti: files are encrypted) are over: it ended by itself"
    )


def test_a_further_hold_never_ends_before_the_first() -> None:
    given = on_hold(P.PROTECTED)
    state, actions = ask(given, Kind.HOLD, reason="an alarm", for_ms=HOUR_MS, scope="all")
    left_ms = 4 * HOUR_MS - 60_000
    both = "an alarm (with the hold of siti: files are encrypted)"
    assert state.services[UID].record.hold == Hold("siti", both, "all", left_ms)
    assert "an integrity hold of 3 h 59 min on all services was placed" in answer(actions).text
    assert "and stands for that of siti: files are encrypted; paspor" in answer(actions).text
    again = Given(P.PROTECTED, hold=Hold("siti", both, "service", 4 * HOUR_MS))
    state, _ = ask(again, Kind.HOLD, reason="an alarm", for_ms=HOUR_MS, scope="all")
    hold = state.services[UID].record.hold
    assert hold is not None
    assert hold.reason == both


def test_a_controller_that_restarts_forgets_a_quarter_of_the_time_at_most() -> None:
    given = on_hold(P.PROTECTED).seen(hold_ms=NOW - HOUR_MS)
    state, actions = step(given.state(), Tick(), NOW)
    (swap,) = [action for action in actions if isinstance(action, Swap)]
    assert swap.record.hold == replace(HOLD, spent_ms=HOUR_MS)
    assert swap.record.because == given.service.record.because
    state = begin([given.spec], {UID: swap.record}, 2, "g", 50_000)
    told = explain(state.services[UID], 50_000 + HOUR_MS)
    assert told.hold is not None
    assert told.hold.left_ms == 2 * HOUR_MS


def test_a_hold_outlives_a_store_that_turns_out_to_be_older() -> None:
    state, _ = step(on_hold(P.PROTECTED).seen(heard_revision=12).state(), Tick(), NOW)
    record = state.services[UID].record
    assert (record.phase, record.held_for, record.hold) == (P.HELD, HeldFor.RESTORED, HOLD)


def test_a_dry_run_says_the_same_and_changes_nothing() -> None:
    state, actions = ask(Given(P.PROTECTED), Kind.HOLD, dry_run=True, **ASKED)
    assert "paspor is not moved, by itself or by anybody" in answer(actions).text
    assert state.services[UID].record.hold is None
