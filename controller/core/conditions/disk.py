"""What the table of phases asks about the disks of the copies."""

from __future__ import annotations

from controller.core.conditions.condition import Condition
from controller.core.model import DiskFilling
from controller.core.moment import disks

moves_when_filling = Condition(
    "moves_when_filling",
    lambda v: v.spec.disk_filling is DiskFilling.SWITCHOVER,
    "{service} is to be moved when the disk of its primary fills",
    "{service} is not to be moved when the disk of its primary fills (`disk_filling: alarm`)",
)
primary_disk_low = Condition(
    "primary_disk_low",
    lambda v: v.primary is not None and bool(v.primary.disk_low),
    "the disk of {primary} fills: {primary_disk}",
    "the disk of {primary} has room ({primary_free} free)",
)
backup_has_room = Condition(
    "backup_has_room",
    lambda v: disks.has_room_for(v.primary, v.backup),
    "the disk of {backup} has more room ({backup_free} free)",
    "the disk of {backup} has not twice the room ({backup_free} free, {primary} has "
    "{primary_free}), so that a move would not help",
)
drain_is_rested = Condition(
    "drain_is_rested",
    lambda v: disks.is_rested(v.service, v.now_ms),
    "no move was given up lately",
    "a move was given up less than 5 min ago: the next one by itself waits so long",
)
backup_disk_full = Condition(
    "backup_disk_full",
    lambda v: v.backup is not None and disks.is_full(v.backup),
    "the disk of {backup} is full: {backup_disk}",
    "the disk of {backup} is not full ({backup_free} free)",
)
