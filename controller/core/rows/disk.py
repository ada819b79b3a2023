"""The rows of a disk that fills: a move in order before it is full, and no backup where it is."""

from __future__ import annotations

from controller.core.conditions import block as b
from controller.core.conditions import disk as d
from controller.core.conditions import hold as h
from controller.core.conditions import pair as c
from controller.core.conditions import room as r
from controller.core.conditions import stage as s
from controller.core.conditions import veto as v
from controller.core.model import Phase
from controller.core.rows.effects import begin_disk_handover, release
from controller.core.rows.row import Row

P = Phase

DISK_ROWS: tuple[Row, ...] = (
    Row(
        "backup_disk_full", P.PROTECTED, P.ALONE,
        (d.backup_disk_full, c.primary_proves, b.may_stand_alone),
        "the disk of {backup} is full ({backup_disk}), so that it could not take over; {primary} "
        "stands alone",
        release,
    ),
    Row(
        "disk_filling", P.PROTECTED, P.DRAINING,
        (
            d.moves_when_filling, d.primary_disk_low, d.backup_has_room, d.drain_is_rested,
            c.primary_proves, c.primary_can_promise, c.backup_follows, c.backup_fit, c.not_paused,
            h.not_on_hold, v.backup_willing, s.backup_in_use, v.primary_willing, r.in_turn,
            r.has_room,
        ),
        "the disk of {primary} fills ({primary_disk}) and {backup} has room ({backup_free} free); "
        "{primary} stops in order before it is full",
        begin_disk_handover,
    ),
)  # fmt: skip
