"""The controller's step: what is persisted, said and granted, and in which order."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from controller.core.actions import Action, Answer, ReadRecord, SendGrant, SendOrder, Swap
from controller.core.events import Event, Kind, RecordRead, Tick
from controller.core.model import HeldFor, Operation, Phase, State
from controller.core.step import LeadershipLost, begin, found, step
from protocol.messages import CONTROLLER, Goal, Mode, Right, Role
from protocol.windows import grantor_window_ms
from tests.controller.core.given import (
    NOW,
    SYSTEM,
    TERMS,
    UID,
    A,
    B,
    Given,
    asked,
    backup_report,
    primary_report,
    report,
    said,
    spec,
)

P = Phase


def after(given: Given, event: Event) -> tuple[State, list[Action]]:
    return step(given.state(), event, NOW)


def the(actions: list[Action], kind: type[Action]) -> list[Action]:
    return [action for action in actions if isinstance(action, kind)]


def phase(state: State) -> Phase:
    return state.services[UID].record.phase


def test_a_new_service_begins_alone_with_the_preferred_primary() -> None:
    record = found(spec(), 4)
    assert (record.phase, record.primary, record.backup, record.epoch) == (P.ALONE, A, B, 1)
    assert record.term == 4


def test_the_record_is_swapped_before_any_order_leaves() -> None:
    _, actions = after(Given(P.PROTECTED).silent(), Tick())
    assert isinstance(actions[0], Swap)
    assert actions[0].expected_revision == 10
    assert {a.agent for a in the(actions, SendOrder) if isinstance(a, SendOrder)} == {A, B}


def test_in_a_countdown_the_backup_may_not_grant_and_the_primary_must_prove() -> None:
    _, actions = after(Given(P.PROTECTED).silent(), Tick())
    orders = {a.agent: a.assignment for a in actions if isinstance(a, SendOrder)}
    assert not orders[B].may_grant
    assert orders[B].goal is Goal.BACKUP
    assert orders[A].countdown
    assert orders[A].right is Right.LEASED


def test_a_promotion_takes_the_next_epoch_and_swaps_the_roles() -> None:
    state, actions = after(Given(P.COUNTDOWN).stopped(), Tick())
    record = state.services[UID].record
    assert (record.phase, record.epoch, record.primary, record.backup) == (P.PROMOTING, 2, B, A)
    orders = {a.agent: a.assignment for a in actions if isinstance(a, SendOrder)}
    assert (orders[B].goal, orders[B].right) == (Goal.PRIMARY, Right.ALONE)
    assert orders[A].goal is Goal.BACKUP


def test_a_whole_failover_takes_the_rows_one_after_the_other() -> None:
    state, _ = after(Given(P.PROTECTED).silent(), Tick())
    assert phase(state) is P.COUNTDOWN
    stopped = report(11, stopped=True, promise_left_ms=0)
    later = NOW + 2500
    state, _ = step(state, said(B, stopped), later)
    assert phase(state) is P.PROMOTING
    reigns = primary_report(revision=12, epoch=2, mode=Mode.ALONE)
    state, actions = step(state, said(B, reigns), later + 300)
    assert phase(state) is P.ROUTING
    swap = actions[0]
    assert isinstance(swap, Swap)
    assert swap.transition.outage_ms == 3000 + 2500 + 300
    state, actions = step(state, said(B, replace(reigns, revision=13)), later + 350)
    assert phase(state) is P.ALONE
    assert isinstance(actions[0], Swap)
    assert actions[0].transition.outcome == "done"
    assert state.services[UID].record.operation is None


def test_a_grant_is_given_and_remembered_in_one_step() -> None:
    given = Given(P.PROTECTED)
    state, actions = after(given, asked())
    grant = actions[-1]
    assert isinstance(grant, SendGrant)
    assert grant.grants[0].ttl_ms == TERMS.ttl_ms
    assert state.services[UID].promise_end_ms == NOW + grantor_window_ms(TERMS.ttl_ms)
    assert state.services[UID].proven_ms == NOW


@pytest.mark.parametrize(
    ("phase", "held"),
    [(P.COUNTDOWN, HeldFor.NOTHING), (P.HELD, HeldFor.LOSS), (P.HELD, HeldFor.RESTORED)],
)
def test_no_lease_is_granted_where_somebody_else_may_be_promoted(
    phase: Phase, held: HeldFor
) -> None:
    given = Given(phase, held_for=held).silent()
    before = given.service.promise_end_ms
    state, actions = after(given, asked(proven=False))
    grants = [g for a in actions if isinstance(a, SendGrant) for g in a.grants]
    assert all(not g.ttl_ms and g.refusal for g in grants)
    assert state.services[UID].promise_end_ms == before


def test_a_renewal_in_a_countdown_ends_it_and_is_granted_in_the_same_step() -> None:
    state, actions = after(Given(P.COUNTDOWN).silent(), asked())
    assert phase(state) is P.PROTECTED
    assert isinstance(actions[0], Swap)
    grants = [g for a in actions if isinstance(a, SendGrant) for g in a.grants]
    assert grants[0].ttl_ms == TERMS.ttl_ms


def test_a_late_renewal_of_a_dead_primary_costs_time_and_no_protection() -> None:
    state, _ = after(Given(P.COUNTDOWN).silent(), asked())
    silent = backup_report(revision=11, primary_heard=False, streaming=False)
    state, _ = step(state, said(B, silent), NOW + 1100)
    assert phase(state) is P.COUNTDOWN


@pytest.mark.parametrize("change", [{"epoch": 2}, {"revision": 99}, {"handover": True},
                                    {"illness": "read-only"}])  # fmt: skip
def test_a_question_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    _, actions = after(Given(P.PROTECTED), asked(**change))
    grants = [g for a in actions if isinstance(a, SendGrant) for g in a.grants]
    assert [g.ttl_ms for g in grants] == [0]


def test_who_is_not_the_primary_gets_no_lease_and_proves_nothing() -> None:
    given = Given(P.PROTECTED)
    state, actions = after(given, asked(B))
    assert state.services[UID].proven_ms == given.service.proven_ms
    grants = [g for a in actions if isinstance(a, SendGrant) for g in a.grants]
    assert [g.ttl_ms for g in grants] == [0]


def test_a_stranger_cannot_make_the_store_look_old() -> None:
    state, actions = after(Given(P.PROTECTED), asked("ikn-1", revision=99))
    assert state == Given(P.PROTECTED).state()
    assert actions == []


def test_an_absurd_leap_of_the_revision_is_not_believed() -> None:
    state, _ = after(Given(P.PROTECTED), said(B, backup_report(revision=2**61)))
    assert phase(state) is P.PROTECTED
    state, _ = after(Given(P.PROTECTED), asked(revision=2**61))
    assert phase(state) is P.PROTECTED


def test_an_unproven_question_is_no_sign_of_life() -> None:
    given = Given(P.PROTECTED)
    state, _ = after(given, asked(proven=False))
    assert state.services[UID].proven_ms == given.service.proven_ms


def test_a_new_leader_counts_as_having_granted_at_its_first_moment() -> None:
    record = Given(P.COUNTDOWN).service.record
    state = begin([spec()], {UID: record}, 2, "g", NOW)
    window_ms = grantor_window_ms(TERMS.ttl_ms)
    assert state.services[UID].promise_end_ms == NOW + window_ms


def test_a_lease_time_that_was_shortened_does_not_shorten_the_amnesia_wait() -> None:
    record = replace(Given(P.PROTECTED).service.record, ttl_ceiling_ms=30_000)
    state = begin([spec()], {UID: record}, 2, "g", NOW)
    assert state.services[UID].promise_end_ms == NOW + grantor_window_ms(30_000)


def test_a_start_nonce_is_echoed_only_after_the_store_was_read() -> None:
    told = primary_report(start_nonce="5-a.0")
    state, actions = after(Given(P.PROTECTED), said(A, told))
    assert the(actions, ReadRecord) == [ReadRecord(UID, A, "5-a.0")]
    assert not the(actions, SendOrder)
    read = RecordRead(state.services[UID].record, A, "5-a.0")
    state, actions = step(state, read, NOW + 5)
    orders = [a for a in actions if isinstance(a, SendOrder)]
    assert [o.assignment.start_nonce for o in orders] == ["5-a.0"]


def test_a_store_that_another_leader_wrote_ends_this_ones_reign() -> None:
    given = Given(P.PROTECTED)
    theirs = replace(given.service.record, revision=11, term=2)
    with pytest.raises(LeadershipLost):
        after(given, RecordRead(theirs, A, "n"))


def test_an_agent_that_knows_less_is_told_again() -> None:
    given = Given(P.PROTECTED).seen(ordered_ms=NOW - 50)
    _, actions = after(given, said(B, backup_report(revision=9)))
    assert [a.agent for a in actions if isinstance(a, SendOrder)] == [B]


def test_an_agent_that_knows_all_is_left_alone() -> None:
    _, actions = after(Given(P.PROTECTED), said(B, backup_report()))
    assert actions == []


def test_an_agent_that_is_heard_and_stays_behind_is_told_again_by_the_clock() -> None:
    given = Given(P.PROTECTED).backup(backup_report(revision=9)).seen(ordered_ms=NOW - 300)
    _, actions = after(given, Tick())
    assert {a.agent for a in actions if isinstance(a, SendOrder)} == {A, B}


def test_a_replayed_report_changes_nothing() -> None:
    event = said(B, backup_report())
    once, _ = after(Given(P.PROTECTED), event)
    twice, actions = step(once, event, NOW)
    assert twice == once
    assert actions == []


def test_an_epoch_that_this_revision_never_had_shows_that_the_store_is_an_older_copy() -> None:
    state, actions = after(Given(P.PROTECTED), said(B, backup_report(epoch=2)))
    assert state.services[UID].record.held_for is HeldFor.RESTORED
    assert not the(actions, SendOrder)


def test_a_right_that_this_revision_never_gave_shows_that_the_store_is_an_older_copy() -> None:
    state, _ = after(Given(P.PROTECTED), said(A, primary_report(mode=Mode.ALONE)))
    assert state.services[UID].record.held_for is HeldFor.RESTORED


def test_an_absurd_epoch_is_ignored() -> None:
    given = Given(P.PROTECTED)
    state, actions = after(given, said(B, backup_report(epoch=2**61)))
    assert state.services[UID].reports[B].report.epoch == 1
    assert actions == []


def test_a_position_never_goes_back_within_an_epoch() -> None:
    state, _ = after(Given(P.PROTECTED), asked(position_bytes=10))
    assert state.services[UID].proven_position_bytes == 5000


def test_an_unknown_loss_can_be_accepted_by_a_person() -> None:
    given = Given(P.HELD, held_for=HeldFor.LOSS).stopped().seen(proven_position_bytes=0)
    request = given.asked(Kind.APPROVE, epoch=1, loss_bytes=0).request
    assert request is not None
    state, _ = after(given, request)
    stopped = report(11, stopped=True, promise_left_ms=0)
    state, _ = step(state, said(B, stopped), NOW + 50)
    assert phase(state) is P.PROMOTING


def test_in_an_adoption_the_controller_grants_nothing_yet() -> None:
    given = Given(P.HELD, held_for=HeldFor.ADOPTION).backup(None)
    _, actions = after(given, asked())
    grants = [g for a in actions if isinstance(a, SendGrant) for g in a.grants]
    assert [g.ttl_ms for g in grants] == [0]


def test_a_report_of_an_unknown_service_or_replica_is_ignored() -> None:
    given = Given(P.PROTECTED)
    foreign = replace(backup_report(), service_uid="other")
    assert after(given, said(B, foreign)) == (given.state(), [])
    assert after(given, said("ikn-1", backup_report())) == (given.state(), [])


def test_nothing_is_ordered_while_the_store_is_known_to_be_behind() -> None:
    state, actions = after(Given(P.PROTECTED), said(B, backup_report(revision=12)))
    assert state.services[UID].record.held_for is HeldFor.RESTORED
    assert not the(actions, SendOrder)


def test_an_adopted_record_leaps_past_what_was_heard_and_is_taken_by_both_first() -> None:
    given = Given(P.HELD, held_for=HeldFor.RESTORED).seen(heard_revision=50)
    request = given.asked(Kind.APPROVE, epoch=1).request
    assert request is not None
    state, actions = after(given, request)
    record = state.services[UID].record
    assert record.revision > 1000
    assert record.held_for is HeldFor.ADOPTION
    ordered = [a.assignment for a in actions if isinstance(a, SendOrder)]
    assert all(o.right is Right.LEASED for o in ordered)


def test_an_adoption_learns_the_database_from_whoever_knows_it() -> None:
    """The agent of the latest reign may just have restarted, and not have looked at its disk."""
    given = Given(P.HELD, held_for=HeldFor.RESTORED, system_identifier="")
    given.primary(primary_report(epoch=2, system_identifier="")).seen(heard_revision=50)
    request = given.asked(Kind.APPROVE, epoch=1).request
    assert request is not None
    state, _ = after(given, request)
    assert state.services[UID].record.system_identifier == SYSTEM


def test_an_operation_is_given_up_when_the_store_is_found_to_be_an_older_copy() -> None:
    """Nobody knows how far it came; the history says so at the moment when it is dropped."""
    operation = Operation("paspor-9", "switchover", "siti", "", A, B)
    state, actions = after(
        Given(P.DRAINING, operation=operation), said(B, backup_report(revision=12))
    )
    (outcome,) = [a.transition.outcome for a in actions if isinstance(a, Swap)]
    assert state.services[UID].record.operation is None
    assert outcome == "given up"


def test_a_refused_request_says_what_is_missing_and_changes_nothing() -> None:
    given = Given(P.PROTECTED).backup(None).seen(following_since_ms=-1)
    request = given.asked(Kind.SWITCHOVER).request
    assert request is not None
    state, actions = after(given, request)
    answer = actions[-1]
    assert isinstance(answer, Answer)
    assert not answer.accepted
    assert answer.unmet
    assert state.services[UID].record == given.service.record


def test_a_request_in_the_wrong_phase_names_the_right_one() -> None:
    given = Given(P.ALONE)
    request = given.asked(Kind.SWITCHOVER).request
    assert request is not None
    _, actions = after(given, request)
    answer = actions[-1]
    assert isinstance(answer, Answer)
    assert "PROTECTED" in answer.text


def test_a_failover_of_a_primary_that_commits_is_refused() -> None:
    given = Given(P.PROTECTED)
    request = given.asked(Kind.FAILOVER).request
    assert request is not None
    _, actions = after(given, request)
    answer = actions[-1]
    assert isinstance(answer, Answer)
    assert not answer.accepted
    assert any("proved a commit" in text for text in answer.unmet)


def test_a_dry_run_answers_and_changes_nothing() -> None:
    given = Given(P.PROTECTED)
    request = given.asked(Kind.SWITCHOVER, dry_run=True).request
    assert request is not None
    state, actions = after(given, request)
    assert state == given.state()
    assert [type(a) for a in actions] == [Answer]


def test_going_alone_lets_everybody_grant_until_it_is_acknowledged() -> None:
    state, actions = after(Given(P.PROTECTED).backup(backup_report(), 9000), Tick())
    assert phase(state) is P.ALONE
    orders = {a.agent: a.assignment for a in actions if isinstance(a, SendOrder)}
    assert orders[A].right is Right.ALONE
    assert orders[B].may_grant
    _, actions = step(state, asked(), NOW + 1)
    grants = [g for a in actions if isinstance(a, SendGrant) for g in a.grants]
    assert grants[0].ttl_ms == TERMS.ttl_ms


def test_arming_names_a_new_set_of_grantors() -> None:
    state, actions = after(Given(P.ALONE).primary(primary_report(mode=Mode.ALONE)), Tick())
    assert phase(state) is P.ARMING
    order = next(a.assignment for a in actions if isinstance(a, SendOrder) and a.agent == A)
    assert order.grantors == (CONTROLLER, B)
    assert order.grantor_set == 2
    assert order.right is Right.ARMING


def test_sync_is_ordered_before_the_backup_is_eligible_and_relaxed_only_after() -> None:
    arming = Given(P.ALONE).sync().primary(primary_report(mode=Mode.ALONE))
    _, actions = after(arming, Tick())
    assert next(a.assignment for a in actions if isinstance(a, SendOrder) and a.agent == A).sync
    lost = Given(P.PROTECTED).sync().backup(backup_report(), 9000)
    _, actions = after(lost, Tick())
    order = next(a.assignment for a in actions if isinstance(a, SendOrder) and a.agent == A)
    assert order.right is Right.ALONE
    assert not order.sync


def test_a_switchover_waits_until_the_backup_has_the_whole_log() -> None:
    released = primary_report(role=Role.DOWN, writable=False, released=True, position_bytes=9000)
    given = Given(P.DRAINING).primary(released)
    state, _ = after(given, Tick())
    assert phase(state) is P.DRAINING
    state, _ = step(state, said(B, backup_report(position_bytes=9000)), NOW + 1)
    assert phase(state) is P.PROMOTING
