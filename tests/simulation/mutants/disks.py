"""Disks of data: one that fills is left in order, once and for a better one; to a full one nobody
is promoted."""

from __future__ import annotations

from controller.core.conditions import disk as disk_conditions
from controller.core.moment import disks, view
from controller.core.moment.view import View
from simulator.strike import Strike
from tests.simulation.mutants.base import Mutant, Patch, always, drop_rows
from tests.simulation.night import Night

HEEDED = ("disk",)


def full_disk_is_promoted_to(patch: Patch) -> None:
    """A backup whose disk is full counts as one that may take over."""
    patch.setattr(disks, "is_full", lambda _told: False)
    patch.setattr(view, "is_full", lambda _told: False)


def disk_that_fills_is_not_left(patch: Patch) -> None:
    """The policy to move the service away does nothing."""
    drop_rows(patch, "disk_filling")


def policy_for_disks_is_not_asked(patch: Patch) -> None:
    """A service is moved away from a disk that fills though only an alarm is wanted."""
    always(patch, disk_conditions.moves_when_filling)


def disk_low_backup_is_eligible(patch: Patch) -> None:
    """A service goes back and forth between two disks that fill."""
    patch.setattr(disks, "has_room_for", lambda _primary, _backup: True)
    always(patch, disk_conditions.backup_has_room)
    patch.setattr(View, "unfit", property(lambda at: at.backup.unfit if at.backup else "x"))


def move_that_was_given_up_is_tried_at_once(patch: Patch) -> None:
    """A primary whose disk fills is drained again and again."""
    always(patch, disk_conditions.drain_is_rested)


BACKUP_FULL = Night(
    Strike(4_500, "fill-data", ("bravo", "s1", "32000"), 100_000),
    Strike(40_800, "crash-host", ("alpha",), 6_000),
)
"""The backup's disk has had too little room for a promotion for long, and still takes the log."""

PRIMARY_FILLS = Night(Strike(24_500, "fill-data", ("alpha", "s1", "60000"), 60_000), moves=True)
ALARM_ALONE = Night(Strike(9_000, "fill-data", ("alpha", "s1", "60000"), 60_000))
BOTH_FILL = Night(
    Strike(6_000, "fill-data", ("bravo", "s1", "60000"), 60_000),
    Strike(20_000, "fill-data", ("alpha", "s1", "60000"), 60_000),
    moves=True,
)
LATE_LOG = Night(
    Strike(8_000, "slow-log", ("alpha", "bravo", "2500"), 60_000),
    Strike(9_000, "fill-data", ("alpha", "s1", "60000"), 60_000),
    lease="tight",
    moves=True,
)
"""The rest of the log comes too late for a drain."""

MUTANTS = (
    Mutant(full_disk_is_promoted_to, "disks", HEEDED, seconds=45, night=BACKUP_FULL),
    Mutant(disk_that_fills_is_not_left, "disks", HEEDED, seconds=35, night=PRIMARY_FILLS),
    Mutant(policy_for_disks_is_not_asked, "disks", HEEDED, night=ALARM_ALONE),
    Mutant(disk_low_backup_is_eligible, "disks", HEEDED, seconds=25, night=BOTH_FILL),
    Mutant(move_that_was_given_up_is_tried_at_once, "disks", HEEDED, seconds=20, night=LATE_LOG),
)
