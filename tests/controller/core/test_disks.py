"""A disk that fills: a planned move away from it, and no backup where it is full."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from controller.core import step
from controller.core.conditions.pair import ASYNC_PATIENCE_MS
from controller.core.events import Kind, Tick
from controller.core.explanation.explain import explain
from controller.core.model import DiskFilling, Phase, State
from controller.core.moment.detector import watched
from controller.core.moment.disks import PAUSE_AFTER_DRAIN_MS, PROMOTION_NEEDS_BYTES
from controller.core.moment.view import View
from controller.core.phases import first_row
from protocol.messages import Mode
from tests.controller.core.given import (
    LOW,
    MIB,
    NOW,
    UID,
    A,
    B,
    Given,
    backup_report,
    filling,
    primary_report,
    said,
)

P = Phase
FULL: dict[str, Any] = {"disk_low": LOW, "disk_free_bytes": 10 * MIB}
SCARCE: dict[str, Any] = {"disk_low": LOW, "disk_free_bytes": PROMOTION_NEEDS_BYTES}


def name_of(given: Given) -> str:
    row = first_row(given.view())
    return row.name if row else ""


def test_a_disk_that_fills_moves_the_service_where_the_policy_says_so_and_says_why() -> None:
    given = filling()
    row = first_row(given.view())
    assert row is not None
    assert (row.name, row.target) == ("disk_filling", P.DRAINING)
    record = row.apply(given.view(), 1)
    assert record.operation is not None
    assert (record.operation.kind, record.operation.by) == ("switchover", "the controller")
    assert record.operation.reason == LOW
    assert (record.operation.from_agent, record.operation.to_agent) == (A, B)
    assert LOW in record.because and "1000 MiB free" in record.because


@pytest.mark.parametrize(
    "backup",
    [
        {"disk_low": LOW},
        {"unfit": "max_connections"},
        {"disk_free_bytes": 900 * MIB},
        {"disk_free_bytes": 0},
    ],
    ids=["its own is low", "unfit", "hardly more room", "unknown"],
)
def test_it_moves_only_where_that_helps(backup: dict[str, Any]) -> None:
    assert name_of(filling(**backup)) == ""


def test_by_default_it_is_an_alarm_alone() -> None:
    given = filling()
    given.seen(spec=replace(given.spec, disk_filling=DiskFilling.ALARM))
    assert name_of(given) == ""
    told = explain(given.service, NOW)
    assert LOW in told.advice
    assert "disk_filling: alarm" in told.advice
    assert "saling switchover" in told.advice


def test_a_pause_stops_it_and_so_does_a_primary_that_could_not_keep_its_release() -> None:
    given = filling()
    paused = replace(given.service.record, paused="by siti")
    assert first_row(View(replace(given.service, record=paused), NOW)) is None
    given.primary(primary_report(**SCARCE, cannot_promise=True))
    assert name_of(given) == ""


def test_nothing_is_moved_for_the_disk_of_a_primary_that_proves_no_commit() -> None:
    """That is a failover's business."""
    given = filling()
    given.seen(proven_ms=NOW - 60_000, entered_ms=NOW - 500)
    assert name_of(given) == ""


def test_a_move_that_was_given_up_is_not_tried_again_at_once() -> None:
    given = filling()
    given.seen(record=replace(given.service.record, phase=P.DRAINING))
    given.primary(primary_report(**SCARCE, resumed=True))
    state = State(1, "g", {UID: given.service})
    state, _ = step.step(state, Tick(), NOW)
    service = state.services[UID]
    assert service.record.phase is P.PROTECTED
    assert service.drain_given_up_ms == NOW
    revision = service.record.revision
    now_ms = NOW
    while service.record.phase is P.PROTECTED:
        now_ms += 400
        scarce = primary_report(**SCARCE, revision=revision)
        roomy = backup_report(disk_free_bytes=1000 * MIB, revision=revision)
        service = replace(state.services[UID], proven_ms=now_ms)
        state = State(1, "g", {UID: service})
        state, _ = step.step(state, said(A, scarce), now_ms)
        state, _ = step.step(state, said(B, roomy), now_ms)
        service = state.services[UID]
    assert service.record.phase is P.DRAINING
    assert PAUSE_AFTER_DRAIN_MS <= now_ms - NOW < PAUSE_AFTER_DRAIN_MS + 1000


def test_a_backup_whose_disk_is_low_is_not_armed_nor_moved_to_but_takes_over() -> None:
    """With some hundred MiB left it serves for a while, and no takeover cannot be mended."""
    alone = Given(P.ALONE).primary(primary_report(mode=Mode.ALONE))
    assert name_of(alone) == "backup_ready"
    assert name_of(alone.backup(backup_report(**SCARCE))) == ""
    given = Given(P.PROTECTED).backup(backup_report(**SCARCE))
    assert name_of(given) == ""
    assert name_of(given.asked(Kind.SWITCHOVER)) == ""
    given = Given(P.COUNTDOWN).stopped(**SCARCE)
    assert name_of(given) == "fence_certain"


def test_arming_ends_when_the_backups_disk_turns_out_low() -> None:
    given = Given(P.ARMING).primary(primary_report(mode=Mode.LEASED))
    assert name_of(given.backup(backup_report(**SCARCE))) == "backup_unfit_in_arming"


def test_a_backup_whose_disk_is_full_is_no_backup_and_its_primary_stands_alone() -> None:
    given = Given(P.PROTECTED).backup(backup_report(**FULL), 200)
    row = first_row(given.view())
    assert row is not None
    assert (row.name, row.target) == ("backup_disk_full", P.ALONE)
    assert "10 MiB" not in LOW and LOW in row.sentence(given.view())


def test_a_primary_that_proves_no_commit_is_not_left_alone_for_it() -> None:
    """It may need its backup at any moment: whoever makes room there lets it take over."""
    given = Given(P.PROTECTED).silent()
    given.backup(backup_report(primary_heard=False, streaming=False, **FULL))
    assert name_of(given) == ""
    assert f"{B} cannot take over, for its disk is full" in explain(given.service, NOW).advice
    given.backup(backup_report(primary_heard=False, streaming=False, **SCARCE))
    assert name_of(given) == "primary_silent"


def test_nobody_is_promoted_to_a_full_disk_from_a_countdown() -> None:
    assert name_of(Given(P.COUNTDOWN).stopped()) == "fence_certain"
    assert name_of(Given(P.COUNTDOWN).stopped(**FULL)) == ""


def test_in_a_countdown_a_primary_that_is_heard_is_not_kept_waiting_for_a_full_disk() -> None:
    given = Given(P.COUNTDOWN).silent().primary(primary_report(writable=False))
    given.backup(backup_report(primary_heard=False, **FULL))
    given.service = watched(given.view()).service
    assert given.service.ailing_since_ms == NOW
    later = replace(given.service, ailing_since_ms=NOW - ASYNC_PATIENCE_MS)
    row = first_row(View(later, NOW))
    assert row is not None
    assert row.name == "backup_lost_in_countdown"


def test_little_room_on_a_disk_that_its_agent_does_not_call_low_is_no_full_disk() -> None:
    """A small disk with a small floor; and an agent that knows nothing of its disk says 0."""
    for free in (0, 10 * MIB):
        assert name_of(Given(P.PROTECTED).backup(backup_report(disk_free_bytes=free))) == ""
