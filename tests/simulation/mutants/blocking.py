"""Rule 12, of a sync service whose backup is lost: what waits, and what a backup is believed."""

from __future__ import annotations

import dataclasses
from typing import Any

from msgspec.structs import replace

from agents.core import engine
from controller.core.conditions import block
from controller.core.model import BackupLoss, Protection, Wait
from controller.core.moment import loss
from controller.core.moment.view import View
from controller.core.orders import assignments
from controller.core.rows.row import Row
from simulator.parts.engine import Engine
from simulator.strike import Strike
from tests.simulation.mutants.base import Mutant, Patch, change_rows
from tests.simulation.night import Night


def block_is_relaxed(patch: Patch) -> None:
    """A primary whose commits must wait for its backup goes on alone."""
    patch.setattr(block, "is_wanted", lambda _view: False)


def block_is_relaxed_in_a_hold(patch: Patch) -> None:
    """A service that is held for an illness is relaxed, though its commits must wait."""
    sync = assignments._sync

    def forgetful(record: Any, order: Any) -> bool:
        return sync(replace(record, blocks=False), order)

    patch.setattr(assignments, "_sync", forgetful)


def older_backup_is_believed(patch: Patch) -> None:
    """A sync backup has all that was acknowledged, whatever its disk is put back to."""
    patch.setattr(loss, "_has_forgotten", lambda _service: False)


def sync_may_lose_up_to_the_bound(patch: Patch) -> None:
    """What a sync backup lacks is borne, as in async mode."""
    patch.setattr(View, "bound_bytes", property(lambda view: view.spec.loss_bound_bytes))


def record_keeps_no_position(patch: Patch) -> None:
    """What the backup had is in memory alone, and a controller that restarts knows it no more."""
    patch.setattr(loss, "had_bytes", lambda _service, _old, _new: 0)


def position_is_forgotten(patch: Patch) -> None:
    """Nor is it stored when commits begin to wait."""
    record_keeps_no_position(patch)

    def without(row: Row) -> Row:
        if row.name != "commits_wait":
            return row
        return dataclasses.replace(row, effect=lambda _view: {"wait": Wait(0)})

    change_rows(patch, without)


def cancelled_wait_is_acknowledged(patch: Patch) -> None:
    """A commit that was cancelled while it waited for the backup counts as acknowledged."""

    def acknowledge(copy: Engine) -> None:
        if copy.may_commit and copy.sync_with:
            copy.history.acknowledge(copy.timeline, copy.position)

    patch.setattr(Engine, "cancel_waits", acknowledge)


def relaxed_sync_is_believed(patch: Patch) -> None:
    """While the engine is told to wait for nobody, its backup is still called a sync standby."""
    begin = engine._begin

    def believe(replica: Any, *asked: Any) -> Any:
        begun, actions = begin(replica, *asked)
        sync = {"sync_with": replica.sync_with, "sync_from_bytes": replica.sync_from_bytes}
        return replace(begun, **sync), actions

    patch.setattr(engine, "_begin", believe)


CANCELLED = Night(
    Strike(9_000, "cut", ("alpha", "bravo"), 20_000),
    Strike(9_400, "cancel-waits", ("alpha", "s1")),
    Strike(9_500, "crash-host", ("alpha",), 20_000),
    protection=Protection.SYNC,
)
"""Commits wait for a backup that is cut off, somebody cancels that, and the primary is lost."""

PUT_BACK = Night(
    Strike(8_000, "put-back", ("bravo", "s1"), 3_000),
    Strike(11_150, "crash-host", ("alpha",), 10_000),
    protection=Protection.SYNC,
)
"""A backup comes back on an older disk, and before it follows again the primary is lost."""

PUT_BACK_AND_RESTARTED = Night(
    Strike(8_000, "put-back", ("bravo", "s1"), 3_000),
    Strike(11_150, "crash-host", ("alpha",), 10_000),
    Strike(12_700, "crash-controller", (), 50),
    protection=Protection.SYNC,
)
"""The same, and the controller is restarted in the countdown."""

PUT_BACK_LATER = Night(
    Strike(8_000, "put-back", ("bravo", "s1", "7000"), 3_000),
    Strike(16_000, "crash-controller", (), 50),
    Strike(17_800, "crash-host", ("alpha",), 10_000),
    protection=Protection.SYNC,
    backup_loss=BackupLoss.BLOCK,
)
"""The same, after commits had waited for long, and the controller was restarted meanwhile."""

MAINTAINED_FOR_A_MOMENT = Night(
    Strike(9_000, "maintenance-begin", ("s1",), 1_000),
    Strike(9_010, "maintenance-end", ("s1",)),
    protection=Protection.SYNC,
    backup_loss=BackupLoss.BLOCK,
)
"""A maintenance is begun and ended at once."""

ILL_AND_CUT = Night(
    Strike(9_000, "cut", ("alpha", "bravo"), 12_000),
    Strike(10_000, "fail-commits-everywhere", ("s1",), 5_000),
    protection=Protection.SYNC,
    backup_loss=BackupLoss.BLOCK,
)
"""Commits fail for a reason that travels, while the backup is not reached."""

MUTANTS = (
    Mutant(block_is_relaxed, "12", ("I3",), "sync"),
    Mutant(block_is_relaxed_in_a_hold, "12", ("I3",), night=ILL_AND_CUT),
    Mutant(older_backup_is_believed, "12", ("I3",), night=PUT_BACK),
    Mutant(sync_may_lose_up_to_the_bound, "12", ("approval", "I3"), night=PUT_BACK),
    Mutant(record_keeps_no_position, "12", ("I3",), seconds=20, night=PUT_BACK_AND_RESTARTED),
    Mutant(position_is_forgotten, "12", ("I3",), seconds=20, night=PUT_BACK_LATER),
    Mutant(relaxed_sync_is_believed, "12", ("I3",), night=MAINTAINED_FOR_A_MOMENT),
    Mutant(cancelled_wait_is_acknowledged, "12", ("I3",), "sync", night=CANCELLED),
)
