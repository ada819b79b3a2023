"""The table of phases: every row can fire, and the forbidden ones do not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from controller.core import diagram
from controller.core.events import Kind
from controller.core.model import (
    Approval,
    HeldFor,
    LastWord,
    Maintenance,
    Phase,
    Protection,
)
from controller.core.moment.view import APPROVAL_GOOD_FOR_MS
from controller.core.orders.assignments import HELD_ORDERS, ORDERS
from controller.core.phases import ROWS_FROM, TABLE, first_row
from controller.core.rows.row import Row
from protocol.messages import LeaseTerms, Mode, Role
from tests.controller.core.blocking import BLOCK_SITUATIONS
from tests.controller.core.forcing import FORCE_SITUATIONS
from tests.controller.core.given import (
    DISK_SITUATIONS,
    NOW,
    TERMS,
    B,
    Given,
    backup_report,
    primary_report,
)
from tests.controller.core.holding import HOLD_SITUATIONS, STAGE_SITUATIONS, VETO_SITUATIONS
from tests.controller.core.rooming import ROOM_SITUATIONS

P = Phase
OTHER_TERMS = LeaseTerms(6000, 1000, 500, 3000, 5000)


def behind(phase: Phase) -> Given:
    return Given(phase).seen(heard_revision=11)


def newly_sync(phase: Phase) -> Given:
    given = Given(phase)
    return given.seen(spec=replace(given.spec, protection=Protection.SYNC))


def fenced(given: Given, since_ms: int = NOW, **backup: Any) -> Given:
    """The engine is dead, its agent has promised not to write, and every grantor has stopped."""
    told = primary_report(role=Role.DOWN, writable=False, fenced=True)
    return given.stopped(**backup).primary(told).seen(fenced_since_ms=since_ms)


def restored_and_asked(phase: Phase, kind: Kind, **changes: Any) -> Given:
    return Given(phase, held_for=HeldFor.RESTORED, **changes).asked(kind)


def maintained(spent_ms: int, **changes: object) -> Given:
    """A backup whose maintenance of an hour was announced, so much of it ago."""
    announced = Maintenance(B, "siti", "kernel patches", 3_600_000)
    given = Given(P.ALONE, maintenance=replace(announced, **changes))
    return given.seen(maintenance_ms=NOW - spent_ms, following_since_ms=-1)


def maintenance_asked(phase: Phase) -> Given:
    given = Given(phase).primary(primary_report(mode=Mode.NONE))
    return given.asked(Kind.BEGIN_MAINTENANCE, for_ms=3_600_000)


# For every row a situation in which it is the first that fires.
SITUATIONS: dict[tuple[str, Phase], Callable[[], Given]] = {
    **{("store_restored", phase): partial(behind, phase) for phase in Phase if phase is not P.HELD},
    ("illness", P.PROTECTED): lambda: Given(P.PROTECTED).primary(primary_report(illness="ro")),
    ("switchover", P.PROTECTED): lambda: Given(P.PROTECTED).asked(Kind.SWITCHOVER),
    ("primary_gave_up", P.PROTECTED): lambda: Given(P.PROTECTED).primary(
        primary_report(role=Role.DOWN, handover=True, writable=False)
    ),
    ("primary_silent", P.PROTECTED): lambda: Given(P.PROTECTED).silent(),
    ("failover_asked", P.PROTECTED): lambda: (
        Given(P.PROTECTED, paused="by siti").silent().asked(Kind.FAILOVER)
    ),
    ("backup_lost", P.PROTECTED): lambda: Given(P.PROTECTED).backup(backup_report(), 9000),
    **DISK_SITUATIONS,
    ("drained", P.DRAINING): lambda: Given(P.DRAINING).primary(
        primary_report(role=Role.DOWN, released=True, writable=False)
    ),
    ("drain_resumed", P.DRAINING): lambda: Given(P.DRAINING).primary(primary_report(resumed=True)),
    ("drain_overdue", P.DRAINING): lambda: Given(P.DRAINING).seen(entered_ms=NOW - 7000),
    ("drain_broken", P.DRAINING): lambda: Given(P.DRAINING).silent().seen(entered_ms=NOW - 3000),
    ("illness_in_countdown", P.COUNTDOWN): lambda: Given(P.COUNTDOWN).primary(
        primary_report(illness="wraparound")
    ),
    ("primary_back", P.COUNTDOWN): lambda: Given(P.COUNTDOWN),
    ("backup_refuses", P.COUNTDOWN): lambda: (
        Given(P.COUNTDOWN).silent().backup(backup_report(revision=9, refused_revision=10))
    ),
    ("loss_too_large", P.COUNTDOWN): lambda: Given(
        P.COUNTDOWN, last_word=LastWord(10**9, 0, 0)
    ).stopped(),
    ("fence_certain", P.COUNTDOWN): lambda: Given(P.COUNTDOWN).stopped(),
    ("backup_lost_in_countdown", P.COUNTDOWN): lambda: (
        Given(P.COUNTDOWN)
        .silent()
        .primary(primary_report(role=Role.STANDBY, writable=False))
        .backup(None)
        .seen(entered_ms=NOW - 9000, proven_ms=NOW - 9500)
    ),
    ("promoted", P.PROMOTING): lambda: Given(P.PROMOTING),
    ("backup_unfit_in_arming", P.ARMING): lambda: Given(P.ARMING).backup(
        backup_report(unfit="max_connections")
    ),
    **BLOCK_SITUATIONS,
    ("routed", P.ROUTING): lambda: Given(P.ROUTING),
    ("first_copy", P.ALONE): lambda: Given(P.ALONE, system_identifier=""),
    ("backup_ready", P.ALONE): lambda: Given(P.ALONE).primary(primary_report(mode=Mode.ALONE)),
    ("new_settings", P.ALONE): lambda: Given(P.ALONE, terms=OTHER_TERMS),
    ("new_settings", P.PROTECTED): lambda: Given(P.PROTECTED, terms=OTHER_TERMS),
    **{("new_protection", phase): partial(newly_sync, phase) for phase in (P.PROTECTED, P.ALONE)},
    ("new_backup", P.ALONE): lambda: Given(P.ALONE, backup="ikn-1").primary(
        primary_report(mode=Mode.ALONE)
    ),
    ("armed", P.ARMING): lambda: Given(P.ARMING),
    ("identity_learned", P.ARMING): lambda: Given(P.ARMING, system_identifier=""),
    ("backup_lost_in_arming", P.ARMING): lambda: (
        Given(P.ARMING).backup(None).seen(entered_ms=NOW - 9000)
    ),
    **{
        ("maintenance", phase): partial(maintenance_asked, phase)
        for phase in (P.PROTECTED, P.ARMING, P.ALONE)
    },
    ("maintenance_ended", P.ALONE): lambda: maintained(60_000).asked(Kind.END_MAINTENANCE),
    ("maintenance_over", P.ALONE): lambda: maintained(60_000, away=True).seen(
        following_since_ms=NOW - 10_000
    ),
    ("maintenance_ran_out", P.ALONE): lambda: maintained(3_600_000).seen(
        following_since_ms=NOW - 10_000
    ),
    ("maintenance_overdue", P.ALONE): lambda: maintained(3_600_000),
    ("maintenance_away", P.ALONE): lambda: maintained(60_000).backup(backup_report(), 9000),
    ("maintenance_counted", P.ALONE): lambda: maintained(900_000),
    ("store_restored_in_hold", P.HELD): lambda: Given(P.HELD, held_for=HeldFor.LOSS).seen(
        heard_revision=11
    ),
    ("restored_accepted", P.HELD): lambda: (
        Given(P.HELD, held_for=HeldFor.RESTORED)
        .seen(heard_revision=11)
        .asked(Kind.APPROVE, epoch=1)
    ),
    ("adopted", P.HELD): lambda: Given(P.HELD, held_for=HeldFor.ADOPTION),
    ("well_again", P.HELD): lambda: Given(P.HELD, held_for=HeldFor.ILLNESS),
    ("primary_back_in_hold", P.HELD): lambda: Given(P.HELD, held_for=HeldFor.LOSS),
    ("log_arrived", P.HELD): lambda: fenced(Given(P.HELD, held_for=HeldFor.LOSS), log_taken=True),
    ("loss_approved", P.HELD): lambda: (
        Given(P.HELD, held_for=HeldFor.LOSS, last_word=LastWord(10**9, 0, 0))
        .stopped()
        .asked(Kind.APPROVE, epoch=1, loss_bytes=10**9)
    ),
    **{
        ("paused", phase): partial(restored_and_asked, phase, Kind.PAUSE)
        for phase in (P.PROTECTED, P.ALONE, P.HELD)
    },
    **{
        ("unpaused", phase): partial(restored_and_asked, phase, Kind.RESUME, paused="by siti")
        for phase in (P.PROTECTED, P.ALONE, P.HELD)
    },
    **HOLD_SITUATIONS,
    **VETO_SITUATIONS,
    **STAGE_SITUATIONS,
    **FORCE_SITUATIONS,
    **ROOM_SITUATIONS,
}


def row_id(row: Row) -> str:
    return f"{row.source.value}-{row.name}"


@pytest.mark.parametrize("row", TABLE, ids=row_id)
def test_every_row_is_the_first_to_fire_somewhere(row: Row) -> None:
    assert first_row(SITUATIONS[row.name, row.source]().view()) is row


@pytest.mark.parametrize("row", TABLE, ids=row_id)
def test_every_sentence_can_be_filled_with_the_facts(row: Row) -> None:
    view = SITUATIONS[row.name, row.source]().view()
    assert row.sentence(view)
    assert all(condition.sentence(view) for condition in row.when)


@pytest.mark.parametrize("phase", Phase)
def test_in_a_healthy_service_nothing_that_moves_it_fires(phase: Phase) -> None:
    if phase is P.PROTECTED:
        assert first_row(Given(phase).view()) is None


def test_only_phases_in_which_nobody_is_granted_a_lease_lead_to_promoting() -> None:
    rows = [r for r in TABLE if r.target is P.PROMOTING is not r.source]
    assert {r.source for r in rows} == {P.COUNTDOWN, P.DRAINING, P.HELD}
    from_hold = [{x.name for x in r.when} for r in rows if r.source is P.HELD]
    by_force = {"held_for_forced", "proof_stated", "another_person", "promises_over"}
    in_countdown = ({"held_for_loss", "fence_certain"}, {"held_for_capacity", "fence_certain"})
    ways = (*in_countdown, by_force)
    assert all(any(way <= names for way in ways) for names in from_hold)


def test_held_for_capacity_leads_on_by_all_that_a_countdown_asks() -> None:
    """And by one thing more: that nobody paused it since."""
    when = {r.name: {c.name for c in r.when} for r in TABLE}
    assert when["room_found"] - when["fence_certain"] == {"held_for_capacity", "not_paused"}
    assert when["fence_certain"] <= when["room_found"]


def test_held_for_capacity_orders_what_a_countdown_does() -> None:
    assert HELD_ORDERS[HeldFor.CAPACITY] == ORDERS[P.COUNTDOWN] == HELD_ORDERS[HeldFor.LOSS]


def test_a_primary_without_a_lease_can_never_be_counted_down() -> None:
    sources = {r.source for r in TABLE if r.target is P.COUNTDOWN and r.source is not r.target}
    assert sources == {P.PROTECTED, P.DRAINING, P.HELD}
    from_hold = [r for r in ROWS_FROM[P.HELD] if r.target is P.COUNTDOWN]
    names = {c.name for r in from_hold for c in r.when}
    assert "held_for_loss" in names


def test_only_a_primary_that_wants_a_lease_becomes_protected() -> None:
    sources = {r.source for r in TABLE if r.target is P.PROTECTED}
    assert sources == {P.ARMING, P.PROTECTED, P.COUNTDOWN, P.DRAINING}
    without_lease = {P.ARMING, P.ALONE, P.PROMOTING, P.ROUTING}
    acknowledged = [r for r in TABLE if r.target is P.PROTECTED and r.source in without_lease]
    assert all("primary_acknowledged_lease" in {x.name for x in r.when} for r in acknowledged)


def test_names_are_unique_within_a_phase() -> None:
    assert len({(r.source, r.name) for r in TABLE}) == len(TABLE)


def test_a_controller_that_has_just_begun_does_not_take_a_draining_primary_for_silent() -> None:
    assert first_row(Given(P.DRAINING).silent().view()) is None


def test_a_pause_stops_an_automatic_failover() -> None:
    assert first_row(Given(P.PROTECTED, paused="by siti").silent().view()) is None


def test_no_countdown_while_the_controller_hears_commits() -> None:
    assert first_row(Given(P.PROTECTED).silent(for_ms=500).view()) is None


def test_no_countdown_while_the_backup_hears_commits() -> None:
    given = Given(P.PROTECTED).silent().backup(backup_report(primary_heard=True))
    assert first_row(given.view()) is None


def test_no_countdown_while_the_backup_hears_of_an_illness() -> None:
    told = backup_report(primary_heard=False, primary_illness="read-only")
    assert first_row(Given(P.PROTECTED).silent().backup(told).view()) is None


def test_no_promotion_before_the_controllers_own_promise_ran_out() -> None:
    assert first_row(Given(P.COUNTDOWN).stopped().seen(promise_end_ms=NOW + 1).view()) is None


def test_no_promotion_before_the_backups_promise_ran_out() -> None:
    assert first_row(Given(P.COUNTDOWN).stopped(promise_left_ms=1).view()) is None


def test_no_promotion_on_a_backups_word_of_an_earlier_revision() -> None:
    assert first_row(Given(P.COUNTDOWN).stopped(revision=9).view()) is None


def test_a_proof_of_fence_of_an_earlier_revision_does_not_count() -> None:
    told = primary_report(role=Role.DOWN, writable=False, fenced=True, revision=9)
    assert first_row(Given(P.COUNTDOWN).silent().primary(told).view()) is None


def test_a_proof_of_fence_saves_the_wait() -> None:
    told = primary_report(role=Role.DOWN, writable=False, fenced=True)
    row = first_row(Given(P.COUNTDOWN).silent().primary(told).view())
    assert row is not None
    assert row.target is P.PROMOTING


def test_a_stale_report_is_not_believed() -> None:
    given = Given(P.COUNTDOWN).stopped()
    told = backup_report(stopped=True, promise_left_ms=0, primary_heard=False)
    assert first_row(given.backup(told, age_ms=60_000).view()) is None


def test_an_approval_of_another_epoch_is_refused() -> None:
    given = Given(P.HELD, held_for=HeldFor.LOSS, last_word=LastWord(10**9, 0, 0)).stopped()
    assert first_row(given.asked(Kind.APPROVE, epoch=2, loss_bytes=10**10).view()) is None


def test_an_approval_of_too_small_a_loss_is_refused() -> None:
    given = Given(P.HELD, held_for=HeldFor.LOSS, last_word=LastWord(10**9, 0, 0)).stopped()
    assert first_row(given.asked(Kind.APPROVE, epoch=1, loss_bytes=10**6).view()) is None


def test_an_approved_loss_is_carried_out() -> None:
    approval = Approval("siti", 1, 10**9)
    given = Given(P.COUNTDOWN, approval=approval, last_word=LastWord(10**9, 0, 0)).stopped()
    row = first_row(given.seen(approved_ms=NOW - 1000).view())
    assert row is not None
    assert row.target is P.PROMOTING


def test_an_approval_expires() -> None:
    approval = Approval("siti", 1, 10**9)
    given = Given(P.COUNTDOWN, approval=approval, last_word=LastWord(10**9, 0, 0)).stopped()
    given_ms = NOW - APPROVAL_GOOD_FOR_MS - 1
    old = given.seen(entered_ms=given_ms, proven_ms=given_ms - 3000, approved_ms=given_ms)
    row = first_row(old.view())
    assert row is not None
    assert row.target is P.HELD


def test_an_unknown_loss_is_held_rather_than_guessed() -> None:
    given = Given(P.COUNTDOWN).stopped().seen(proven_position_bytes=0)
    row = first_row(given.view())
    assert row is not None
    assert row.target is P.HELD


def test_a_sync_service_has_no_loss_to_hold_for() -> None:
    row = first_row(Given(P.COUNTDOWN).stopped().sync().view())
    assert row is not None
    assert row.target is P.PROMOTING


def test_what_the_primary_may_have_added_since_its_last_word_counts() -> None:
    told = Given(P.COUNTDOWN).stopped().seen(proven_rate_bytes_s=10**9)
    row = first_row(told.view())
    assert row is not None
    assert row.target is P.HELD


def test_the_diagram_in_the_docs_is_fresh() -> None:
    stored = Path(__file__).parents[3] / "docs" / "phases.md"
    assert stored.read_text() == diagram.markdown(), "run `make docs`"


LOST = LastWord(10**9, 0, 0)


def test_a_promotion_waits_for_the_log_of_a_fenced_primary_that_is_heard() -> None:
    assert first_row(fenced(Given(P.COUNTDOWN, terms=TERMS)).view()) is None


def test_with_the_whole_log_there_is_no_loss_to_wait_for() -> None:
    given = fenced(Given(P.COUNTDOWN, last_word=LOST), log_taken=True)
    row = first_row(given.view())
    assert row is not None
    assert row.name == "fence_certain"
    assert given.view().loss_bytes == 0


def test_the_wait_for_the_log_ends_with_its_budget() -> None:
    late = NOW - TERMS.log_budget_ms
    row = first_row(fenced(Given(P.COUNTDOWN, last_word=LOST), late).view())
    assert row is not None
    assert row.name == "loss_too_large"


def test_nobody_waits_for_the_log_of_a_host_that_is_not_heard() -> None:
    row = first_row(fenced(Given(P.COUNTDOWN)).primary(None).view())
    assert row is not None
    assert row.name == "fence_certain"


def test_nobody_waits_for_the_log_in_sync_mode() -> None:
    row = first_row(fenced(Given(P.COUNTDOWN)).sync().view())
    assert row is not None
    assert row.name == "fence_certain"


def test_a_log_that_was_taken_under_another_revision_does_not_count() -> None:
    given = fenced(Given(P.COUNTDOWN, last_word=LOST), revision=9, log_taken=True)
    assert given.view().loss_bytes != 0
