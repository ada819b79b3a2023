"""A sync service whose commits wait for a lost backup, and what a backup must have to take over."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from controller.core.actions import Answer, SendOrder, Swap
from controller.core.events import Kind, Requested, Tick
from controller.core.explanation.explain import explain
from controller.core.invariants import InvariantBroken, check_change
from controller.core.model import BackupLoss, HeldFor, Phase, Protection, Record, State, Wait
from controller.core.moment.detector import watched
from controller.core.moment.loss import proven_bytes
from controller.core.orders.assignments import assignment_for
from controller.core.phases import TABLE, first_row
from controller.core.step import begin, step
from protocol.messages import Role
from tests.controller.core.given import (
    NOW,
    UID,
    A,
    B,
    Given,
    backup_report,
    primary_report,
)

P = Phase


def sync(phase: Phase, policy: BackupLoss = BackupLoss.BLOCK, **changes: object) -> Given:
    blocks = policy is BackupLoss.BLOCK
    given = Given(phase, protection=Protection.SYNC, **({"blocks": blocks} | changes))
    spec = replace(given.spec, protection=Protection.SYNC, backup_loss=policy)
    return given.seen(spec=spec)


def fires(given: Given) -> str:
    row = first_row(given.view())
    return row.name if row else ""


def swaps_and_orders(given: Given) -> tuple[State, list[str]]:
    """What one Tick stores and orders the primary, in its order."""
    state, actions = step(given.state(), Tick(), NOW)
    said = []
    for action in actions:
        if isinstance(action, Swap):
            said.append(f"stored {action.record.phase.value}")
        if isinstance(action, SendOrder) and action.agent == A:
            said.append(f"ordered sync={action.assignment.sync}")
    return state, said


def test_a_service_that_may_stand_alone_is_relaxed_only_after_the_store_said_so() -> None:
    lost = sync(P.PROTECTED, BackupLoss.ALONE).backup(backup_report(), 9000)
    assert swaps_and_orders(lost)[1] == ["stored ALONE", "ordered sync=False"]


def test_a_service_that_blocks_is_never_relaxed_and_stays_protected() -> None:
    lost = sync(P.PROTECTED).backup(backup_report(), 9000)
    state, said = swaps_and_orders(lost)
    assert said == ["stored PROTECTED", "ordered sync=True"]
    told = explain(state.services[UID], NOW + 300)
    assert "commits of paspor wait until it is back" in told.because
    assert (told.commits_wait_ms, told.backup_loss, told.protected) == (300, "block", False)
    assert "saling maintenance begin" in told.advice


@pytest.mark.parametrize("held_for", [HeldFor.ILLNESS, HeldFor.LOSS, HeldFor.ADOPTION])
def test_what_a_service_that_blocks_is_held_for_does_not_relax_it(held_for: HeldFor) -> None:
    order = assignment_for(sync(P.HELD, held_for=held_for).service, A, 1)
    assert order is not None
    assert order.sync


def test_no_row_but_a_takeover_a_maintenance_or_the_configuration_leaves_a_block() -> None:
    leaves = set()
    for row in TABLE:
        given = sync(row.source, wait=Wait(5000)) if row.source is not P.ALONE else None
        if given is None or row.source in (P.PROMOTING, P.ROUTING):
            continue
        # A force begins only where the primary may stand alone; the invariants hold it to that.
        if any(c.name in ("may_stand_alone", "may_be_forced", "held_for_forced") for c in row.when):
            continue
        changes = row.effect(given.asked(Kind.BEGIN_MAINTENANCE).view())
        if changes.get("blocks") is False:
            leaves.add(row.name)
        elif row.target is P.ALONE:
            leaves.add(f"{row.name} relaxes")
    assert leaves == {
        "maintenance", "new_protection", "drained", "fence_certain", "log_arrived",
        "backup_caught_up", "room_found",
    }  # fmt: skip


def test_a_service_that_blocks_is_never_stored_as_alone() -> None:
    old = sync(P.PROTECTED).service.record
    with pytest.raises(InvariantBroken, match="does not stand alone"):
        check_change(old, replace(old, phase=P.ALONE, revision=11))


def test_a_pair_is_bound_when_it_is_armed_and_by_a_new_configuration_at_once() -> None:
    armed = sync(P.ARMING, blocks=False)
    row = first_row(armed.view())
    assert row is not None
    assert (row.name, row.apply(armed.view(), 1).blocks) == ("armed", True)
    changed = sync(P.PROTECTED, blocks=False)
    row = first_row(changed.view())
    assert row is not None
    assert (row.name, row.apply(changed.view(), 1).blocks) == ("new_backup_loss", True)


def test_a_maintenance_lets_commits_go_on_without_the_backup() -> None:
    row = next(r for r in TABLE if r.name == "maintenance" and r.source is P.PROTECTED)
    given = sync(P.PROTECTED, wait=Wait(5000)).asked(Kind.BEGIN_MAINTENANCE)
    new = row.apply(given.view(), 1)
    assert (new.phase, new.blocks, new.wait) == (P.ALONE, False, None)


def test_commits_go_on_only_once_the_backup_has_what_it_had() -> None:
    reign = primary_report(sync_active=True)
    assert fires(sync(P.PROTECTED, wait=Wait(5000)).primary(reign)) == "commits_go_on"
    assert fires(sync(P.PROTECTED, wait=Wait(5001)).primary(reign)) == ""
    assert fires(sync(P.PROTECTED, wait=Wait(5000))) == ""


@pytest.mark.parametrize("policy", list(BackupLoss))
def test_a_backup_that_has_less_than_it_had_takes_over_nothing_by_itself(
    policy: BackupLoss,
) -> None:
    given = sync(P.COUNTDOWN, policy).stopped()
    assert fires(given.seen(backup_proven_bytes=5000)) == "fence_certain"
    assert fires(given.seen(backup_proven_bytes=5001)) == "loss_too_large"


def test_a_hold_for_an_older_backup_ends_when_it_has_all_again() -> None:
    given = sync(P.HELD, held_for=HeldFor.LOSS).stopped()
    assert fires(given.seen(backup_proven_bytes=5001)) == ""
    assert fires(given.seen(backup_proven_bytes=5000)) == "backup_caught_up"


def test_a_loss_within_the_bound_needs_an_operator_in_sync_mode() -> None:
    view = sync(P.PROTECTED).seen(backup_proven_bytes=5001).view()
    assert (view.spec.loss_bound_bytes > 0, view.bound_bytes) == (True, 0)


def test_what_the_backup_had_is_stored_when_commits_begin_to_wait() -> None:
    lost = sync(P.PROTECTED).backup(backup_report(), 9000).seen(backup_proven_bytes=7000)
    state, _ = swaps_and_orders(lost)
    record: Record = state.services[UID].record
    assert record.wait == Wait(7000)
    restarted = begin([lost.service.spec], {UID: record}, 2, "g", NOW).services[UID]
    assert proven_bytes(restarted) == 7000


def test_what_a_backup_was_seen_to_have_only_grows_and_counts_in_sync_mode_alone() -> None:
    seen = watched(sync(P.PROTECTED).seen(backup_proven_bytes=4000).view()).service
    assert seen.backup_proven_bytes == 5000
    older = sync(P.PROTECTED).backup(backup_report(position_bytes=300))
    assert watched(older.seen(backup_proven_bytes=4000).view()).service.backup_proven_bytes == 4000
    assert watched(Given(P.PROTECTED).view()).service.backup_proven_bytes == 0


@pytest.mark.parametrize(
    "told",
    [
        backup_report(streaming=False),
        backup_report(epoch=2),
        backup_report(role=Role.DOWN),
    ],
    ids=["not streaming", "of another epoch", "down"],
)
def test_a_backup_that_may_hold_another_log_proves_nothing(told: object) -> None:
    given = sync(P.PROTECTED).backup(told)  # type: ignore[arg-type]
    assert watched(given.view()).service.backup_proven_bytes == 0


def test_a_countdown_goes_on_while_the_backup_of_a_service_that_blocks_stands() -> None:
    """It has all that was acknowledged; that it does not stream is the primary's illness."""
    given = sync(P.COUNTDOWN).stopped().primary(primary_report(writable=False))
    assert fires(given.seen(ailing_since_ms=NOW - 60_000)) == "fence_certain"


@pytest.mark.parametrize("policy", list(BackupLoss))
def test_what_the_backup_had_outlives_a_restart_in_a_countdown_and_in_a_hold(
    policy: BackupLoss,
) -> None:
    given = sync(P.PROTECTED, policy).silent().seen(backup_proven_bytes=7000, entered_ms=NOW - 9000)
    counted = step(given.state(), Tick(), NOW)[0].services[UID].record
    assert (counted.phase, counted.backup_had_bytes) == (P.COUNTDOWN, 7000)
    stopped = sync(P.COUNTDOWN, policy, backup_had_bytes=7000).stopped()
    held = step(stopped.state(), Tick(), NOW)[0].services[UID].record
    assert (held.phase, held.backup_had_bytes) == (P.HELD, 7000)
    assert fires(sync(P.HELD, policy, held_for=HeldFor.LOSS, backup_had_bytes=7000).stopped()) == ""


def test_an_older_copy_than_the_pair_was_armed_with_is_found_out_after_a_restart() -> None:
    record = step(sync(P.ARMING, blocks=False).state(), Tick(), NOW)[0].services[UID].record
    assert (record.phase, record.backup_had_bytes) == (P.PROTECTED, 5000)


@pytest.mark.parametrize("phase", [P.PROTECTED, P.COUNTDOWN])
def test_what_the_backup_had_ends_with_the_reign_and_where_the_primary_stands_alone(
    phase: Phase,
) -> None:
    given = sync(phase, BackupLoss.ALONE, backup_had_bytes=5000)
    lost = given.backup(backup_report(), 9000) if phase is P.PROTECTED else given.stopped()
    record = step(lost.state(), Tick(), NOW)[0].services[UID].record
    assert record.phase in (P.ALONE, P.PROMOTING)
    assert record.backup_had_bytes == 0


def test_what_the_backup_had_is_not_forgotten_while_it_may_take_over() -> None:
    old = sync(P.PROTECTED, backup_had_bytes=5000).service.record
    with pytest.raises(InvariantBroken, match="is not forgotten"):
        check_change(old, replace(old, phase=P.COUNTDOWN, backup_had_bytes=4999, revision=11))


def test_an_illness_whose_site_is_lost_can_be_forced_once_the_configuration_unbinds_it() -> None:
    given = (
        sync(P.HELD, held_for=HeldFor.ILLNESS).stopped(stopped=False).seen(entered_ms=NOW - 9000)
    )
    asked = Requested("r1", Kind.FORCE, UID, "siti", epoch=1)
    refused = step(given.state(), asked, NOW)[1][0]
    assert isinstance(refused, Answer)
    assert "`backup_loss: alone` in the controller's file" in " ".join(refused.unmet)
    spec = replace(given.service.spec, backup_loss=BackupLoss.ALONE)
    unbound, _ = step(given.seen(spec=spec).state(), Tick(), NOW)
    assert not unbound.services[UID].record.blocks
    heard = unbound.services[UID].reports[B]
    told = replace(heard.report, revision=unbound.services[UID].record.revision)
    service = replace(unbound.services[UID], reports={B: replace(heard, report=told)})
    forced, _ = step(replace(unbound, services={UID: service}), asked, NOW)
    assert forced.services[UID].record.held_for is HeldFor.FORCED


@pytest.mark.parametrize(
    "unable", [{"cannot_promise": True}, {"fence_missing": "nftables"}], ids=["state", "fence"]
)
def test_no_commit_is_said_to_wait_for_a_backup_that_streams_and_could_not_take_over(
    unable: dict[str, object],
) -> None:
    given = sync(P.PROTECTED).backup(backup_report(**unable)).seen(ailing_since_ms=NOW - 60_000)
    assert fires(given) == ""
    told = explain(given.service, NOW)
    assert told.commits_wait_ms == -1
    assert not told.protected
    assert any("could not take over: " in text for text in told.warnings)
    away = sync(P.PROTECTED).backup(backup_report(streaming=False, **unable))
    assert fires(away.seen(ailing_since_ms=NOW - 60_000)) == "commits_wait"
    back = sync(P.PROTECTED, wait=Wait(5000)).primary(primary_report(sync_active=True))
    assert fires(back.backup(backup_report(**unable))) == "commits_go_on"


def test_another_protection_takes_no_failover_from_a_primary_that_is_dead() -> None:
    given = Given(P.PROTECTED).silent().seen(proven_once=False, entered_ms=NOW - 9000)
    asks_more = given.seen(spec=replace(given.spec, protection=Protection.SYNC))
    assert fires(asks_more) == "primary_silent"
    assert fires(asks_more.backup(backup_report(primary_heard=True))) == ""
