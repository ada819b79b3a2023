"""A failover by force: two people, a proof that is asked for after the command, and a way back."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from controller.core.actions import Answer, SendGrant, SendOrder, Swap
from controller.core.events import Event, Kind, Requested, Tick
from controller.core.explanation.explain import explain
from controller.core.invariants import InvariantBroken, check_change
from controller.core.model import Approval, HeldFor, Operation, Phase, Protection, Record, State
from controller.core.moment.view import FORCE_GOOD_FOR_MS
from controller.core.orders.assignments import assignment_for
from controller.core.step import begin, step
from protocol.messages import Goal, Mode, Right, Role
from tests.controller.core.given import (
    NOW,
    UID,
    A,
    B,
    Given,
    asked,
    backup_report,
    primary_report,
    record,
    said,
    spec,
)

P = Phase
PROOF = "the rack has no power, seen at 14:02"


def lost() -> Given:
    """ALONE; the primary is not heard, and its backup, which once followed, hears it neither."""
    given = Given(P.ALONE).stopped(stopped=False, promise_left_ms=900)
    return given.seen(
        entered_ms=NOW - 60_000, caught_up_ms=NOW - 3000, proven_rate_bytes_s=1000,
        promise_end_ms=NOW + 500,
    )  # fmt: skip


def ask(state: State, kind: Kind, now_ms: int = NOW, **changes: Any) -> tuple[State, Answer]:
    usual = Requested("r", kind, UID, "siti", "the site burns", 1)
    state, actions = step(state, replace(usual, **changes), now_ms)
    answer = actions[-1]
    assert isinstance(answer, Answer)
    return state, answer


def prove(state: State, now_ms: int = NOW + 2000, **changes: Any) -> tuple[State, Answer]:
    usual: dict[str, Any] = {"by": "budi", "proof": PROOF, "loss_bytes": 10**9, "loss_ms": 10**6}
    return ask(state, Kind.PROVE, now_ms, **(usual | changes))


def asked_for() -> State:
    return ask(lost().state(), Kind.FORCE)[0]


def stopped(state: State) -> State:
    """The backup grants no more under the hold, and its last lease has run out."""
    told = backup_report(revision=record_of(state).revision, stopped=True, promise_left_ms=0,
                         primary_heard=False, streaming=False)  # fmt: skip
    return step(state, said(B, told), NOW + 1900)[0]


def record_of(state: State) -> Record:
    return state.services[UID].record


def hear(state: State, event: Event) -> Record:
    return record_of(step(state, event, NOW + 1950)[0])


def test_the_force_is_held_and_orders_that_nobody_grants_or_writes() -> None:
    state, answer = ask(lost().state(), Kind.FORCE)
    assert answer.accepted
    assert (record_of(state).phase, record_of(state).held_for) == (P.HELD, HeldFor.FORCED)
    for agent, goal in ((A, Goal.PRIMARY), (B, Goal.BACKUP)):
        order = assignment_for(state.services[UID], agent, 1)
        assert order is not None
        assert (order.goal, order.right, order.countdown) == (goal, Right.LEASED, True)
        assert not order.may_grant
    told = explain(state.services[UID], NOW).advice
    assert "siti asks to move it by force" in told
    assert f"{B} has not said yet that it grants no more" in told


def test_a_proof_by_somebody_else_promotes_once_every_promise_is_over() -> None:
    state, answer = prove(stopped(asked_for()))
    assert answer.accepted
    assert PROOF in answer.text
    assert answer.operation_id
    assert (record_of(state).phase, record_of(state).epoch) == (P.PROMOTING, 2)
    assert record_of(state).primary == B


def test_a_promise_that_runs_still_is_named() -> None:
    _, answer = prove(asked_for(), NOW + 100)
    assert not answer.accepted
    assert any("does not stand by under this revision" in text for text in answer.unmet)
    assert any("a lease may still be relied upon (controller 0.4 s" in x for x in answer.unmet)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"by": "Siti"}, "somebody else than siti"),
        ({"proof": "  "}, "it must state how one knows that the host of jabodetabek-1 is off"),
        ({"epoch": 2}, "it must name epoch 1"),
    ],
)
def test_a_proof_that_lacks_something_is_refused(changes: dict[str, Any], told: str) -> None:
    state, answer = prove(stopped(asked_for()), **changes)
    assert (answer.accepted, answer.conflict) == (False, False)
    assert told in answer.unmet[0]
    assert record_of(state).phase is P.HELD


def test_a_loss_beyond_the_bound_is_named_and_grows_until_the_host_is_off() -> None:
    state = stopped(asked_for())
    service = state.services[UID]
    tight = replace(service, spec=replace(service.spec, loss_bound_bytes=100))
    state = State(1, "g", {UID: tight})
    _, answer = prove(state, NOW + 2000, loss_bytes=4999, loss_ms=4900)
    assert "a loss of at least 5000 bytes and 5.0 s" in answer.unmet[0]
    _, answer = prove(state, NOW + 2000, loss_bytes=5000, loss_ms=5000)
    assert answer.accepted


def test_in_sync_mode_a_primary_that_stood_alone_loses_what_it_committed() -> None:
    state = stopped(ask(lost().sync().state(), Kind.FORCE)[0])
    assert explain(state.services[UID], NOW + 2000).loss_bytes == 5000


def test_a_copy_that_was_not_seen_to_follow_loses_nobody_knows_how_much() -> None:
    state = stopped(ask(lost().seen(caught_up_ms=-1).state(), Kind.FORCE)[0])
    assert explain(state.services[UID], NOW + 2000).loss_bytes is None
    _, answer = prove(state, loss_bytes=-1, loss_ms=-1)
    assert "it must name a loss of at least any loss in bytes" in answer.unmet[0]


@pytest.mark.parametrize(
    "event",
    [
        said(A, primary_report(revision=9, mode=Mode.ALONE)),
        asked(A, revision=9, proven=False),
        said(B, backup_report(revision=10, refused_revision=11)),
        said(B, backup_report(revision=11, stopped=True, primary_heard=True)),
    ],
)
def test_any_sign_of_life_ends_it_and_nothing_was_moved(event: Event) -> None:
    now = hear(stopped(asked_for()), event)
    assert (now.phase, now.primary, now.epoch) == (P.ALONE, A, 1)
    assert now.approval is None
    assert now.operation is None


def test_what_was_heard_in_an_illness_before_the_force_does_not_end_it() -> None:
    """The phase is HELD before and after: only what came since the force counts."""
    ill = lost().seen(record=record(P.HELD, held_for=HeldFor.ILLNESS))
    state, answer = ask(ill.seen(primary_heard_ms=NOW - 5000).state(), Kind.FORCE)
    assert answer.accepted
    assert record_of(state).held_for is HeldFor.FORCED
    assert prove(stopped(state))[1].accepted


def test_it_is_given_up_by_an_operator() -> None:
    state, answer = ask(asked_for(), Kind.END_FORCE)
    assert answer.accepted
    assert record_of(state).phase is P.ALONE


def test_it_runs_out_and_ends_with_the_controller_that_took_it() -> None:
    state, _ = step(asked_for(), Tick(), NOW + FORCE_GOOD_FOR_MS + 1)
    assert "its 1 h are over" in record_of(state).because
    held = record_of(asked_for())
    state, _ = step(begin([spec()], {UID: held}, 2, "g", NOW), Tick(), NOW)
    assert "the controller was started anew" in record_of(state).because
    assert record_of(state).phase is P.ALONE


def test_nobody_is_granted_a_lease_meanwhile() -> None:
    state = asked_for()
    _, actions = step(state, asked(A, revision=11, proven=True), NOW)
    # The way back comes first: then it is granted again, for it stands alone.
    assert record_of(step(state, asked(A, revision=11), NOW + 1)[0]).phase is P.ALONE
    assert [a for a in actions if isinstance(a, SendGrant | SendOrder | Swap)]


@pytest.mark.parametrize("phase", [P.PROTECTED, P.COUNTDOWN, P.DRAINING, P.PROMOTING])
def test_only_a_primary_that_stands_alone_is_moved_by_force(phase: Phase) -> None:
    _, answer = ask(Given(phase).silent().state(), Kind.FORCE)
    assert not answer.accepted
    assert "only a primary that stands alone is moved by force" in answer.unmet[0]


def test_a_primary_that_is_heard_is_not_moved_by_force() -> None:
    _, answer = ask(Given(P.ALONE).primary(primary_report(mode=Mode.ALONE)).state(), Kind.FORCE)
    assert f"the agent {A} is heard" in answer.unmet


def test_a_proof_before_the_force_is_refused() -> None:
    _, answer = prove(lost().state())
    assert not answer.accepted
    assert "ask for it first" in answer.unmet[-1]


def test_asked_for_twice_is_a_conflict() -> None:
    _, answer = ask(asked_for(), Kind.FORCE)
    assert answer.conflict


def test_a_plain_failover_tells_of_the_force_and_its_loss() -> None:
    _, answer = ask(lost().state(), Kind.FAILOVER)
    assert "--force" in answer.unmet[-1]
    assert "it loses an estimated 3000 bytes of 3.0 s at most" in answer.unmet[-1]


def test_changes_that_would_leave_the_force_are_broken_invariants() -> None:
    held = record(P.HELD, held_for=HeldFor.FORCED, approval=Approval("siti", 1, -1))
    new = replace(held, revision=11)
    for phase in (P.ARMING, P.COUNTDOWN, P.PROTECTED):
        with pytest.raises(InvariantBroken, match="from a force only"):
            check_change(held, replace(new, phase=phase, held_for=HeldFor.NOTHING))
    with pytest.raises(InvariantBroken, match="somebody asked"):
        check_change(held, replace(new, approval=None))
    with pytest.raises(InvariantBroken, match="wait for the backup"):
        check_change(held, replace(new, blocks=True))
    with pytest.raises(InvariantBroken, match="without a lease"):
        check_change(record(P.PROTECTED), replace(new, protection=Protection.ASYNC))
    promoted = replace(new, phase=P.PROMOTING, epoch=2, primary=B, backup=A)
    unasked = replace(held, approval=None)
    with pytest.raises(InvariantBroken, match="only where no lease"):
        check_change(unasked, replace(promoted, held_for=HeldFor.NOTHING))


def test_in_sync_mode_any_loss_of_acknowledged_commits_must_be_named() -> None:
    """The bound there is 0, whatever the configuration says of an async service."""
    state = stopped(ask(lost().sync().state(), Kind.FORCE)[0])
    _, answer = prove(state, loss_bytes=-1, loss_ms=-1)
    assert not answer.accepted
    assert "it must name a loss of at least 5000 bytes" in answer.unmet[0]
    assert prove(state, loss_bytes=5000, loss_ms=5000)[1].accepted


def test_a_loss_within_the_bound_is_shown_as_met_and_advised_as_not_to_be_named() -> None:
    told = explain(stopped(asked_for()).services[UID], NOW + 2000)
    way = next(way for way in told.ways if way.name == "force_proved")
    (clause,) = (clause for clause in way.clauses if "the loss of" in clause.text)
    assert clause.holds
    assert "within the bound of 16.00 MiB, and need not be named" in told.advice
    assert "--loss-bytes" not in told.advice
    sync = stopped(ask(lost().sync().state(), Kind.FORCE)[0])
    assert "--loss-bytes 5000" in explain(sync.services[UID], NOW + 2000).advice


def test_a_backup_that_cannot_stand_by_without_the_lost_site_is_offered_no_force() -> None:
    waits = backup_report(role=Role.DOWN, streaming=False, doing="no upstream")
    given = lost().backup(waits)
    told = explain(given.service, NOW).advice
    assert "--force" not in told
    assert "only its site or a restore from a backup helps" in told
    _, answer = ask(given.state(), Kind.FAILOVER)
    assert "a force would be refused" in answer.unmet[-1]
    assert "--force" not in answer.unmet[-1]
    assert "--force" in explain(lost().service, NOW).advice


def test_what_to_type_first_can_be_typed_as_it_stands() -> None:
    _, answer = prove(lost().state())
    assert "--force --epoch 1 --reason TEXT" in answer.unmet[-1]
    _, answer = ask(lost().state(), Kind.END_FORCE)
    assert answer.unmet == ("no force is asked for",)


@pytest.mark.parametrize("kind", [Kind.FORCE, Kind.FAILOVER])
def test_a_service_that_is_held_for_a_loss_needs_an_approval(kind: Kind) -> None:
    under_way = Operation("paspor-9", "failover", "budi", "", A, B)
    given = Given(P.HELD, held_for=HeldFor.LOSS, operation=under_way).stopped()
    _, answer = ask(given.state(), kind)
    assert (answer.accepted, answer.conflict) == (False, False)
    assert "`saling approve paspor --epoch 1 --loss-bytes" in answer.unmet[-1]


@pytest.mark.parametrize("kind", [Kind.FORCE, Kind.FAILOVER])
def test_the_way_on_from_a_force_is_a_proof_or_to_take_it_back(kind: Kind) -> None:
    _, answer = ask(asked_for(), kind)
    assert answer.conflict
    assert "--proof TEXT" in answer.unmet[0] and "--give-up" in answer.unmet[0]
