"""The disks of the copies' data, as their agents tell of them: which are low, which are full."""

from __future__ import annotations

from controller.core.model import ServiceState
from protocol.messages import ReplicaReport

PROMOTION_NEEDS_BYTES = 256 * 1024 * 1024
"""What a promotion may write before anybody has written anything: a checkpoint, the first files
of a new timeline, the log that its backup does not have yet."""
ROOMIER = 2
"""A copy to which a service is moved for its disk's sake has at least so many times as much free:
one that will be full as soon is not worth the move."""
PAUSE_AFTER_DRAIN_MS = 5 * 60_000
"""After a move that was given up the next one by itself waits so long: each costs a moment."""


def is_full(told: ReplicaReport) -> bool:
    """Whether a promotion may find no room. Only a disk that its agent calls low can be full."""
    return bool(told.disk_low) and told.disk_free_bytes < PROMOTION_NEEDS_BYTES


def has_room_for(primary: ReplicaReport | None, backup: ReplicaReport | None) -> bool:
    """Whether the backup's disk is so much better that the move helps. What is unknown is not."""
    if primary is None or backup is None or backup.disk_low:
        return False
    return backup.disk_free_bytes >= max(1, ROOMIER * primary.disk_free_bytes)


def is_rested(service: ServiceState, now_ms: int) -> bool:
    """Whether no move was given up lately, as far as this life of the controller knows."""
    since_ms = service.drain_given_up_ms
    return since_ms < 0 or now_ms - since_ms >= PAUSE_AFTER_DRAIN_MS


def facts(primary: ReplicaReport | None, backup: ReplicaReport | None) -> dict[str, str]:
    """The figures that sentences about disks may name."""
    return {
        "primary_disk": _low(primary),
        "backup_disk": _low(backup),
        "primary_free": _free(primary),
        "backup_free": _free(backup),
    }


def _low(told: ReplicaReport | None) -> str:
    if told is None:
        return "it is not heard"
    return told.disk_low or f"{_free(told)} free"


def _free(told: ReplicaReport | None) -> str:
    if told is None or not (told.disk_free_bytes or told.disk_low):
        return "an unknown amount"
    count = told.disk_free_bytes
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
