"""Figures for people: durations, sizes, times."""

from __future__ import annotations

from datetime import UTC, datetime

from controller.core.conditions.facts import estimated, megabytes
from controller.core.gates.approvals import seconds

UNKNOWN = "unknown"
MIB, GIB = 2**20, 2**30


def duration(duration_ms: int) -> str:
    """`340 ms`, `5.2 s`, `3 min 20 s`, `2 h 5 min`, `4 d 3 h`; `unknown` below zero."""
    if duration_ms < 0:
        return UNKNOWN
    if duration_ms < 1000:
        return f"{duration_ms} ms"
    if duration_ms < 60_000:
        return f"{duration_ms / 1000:.1f} s"
    minutes, seconds = divmod(duration_ms // 1000, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def counted(count: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def size(count: int | None) -> str:
    """A size as the controller's own sentences show it; below zero it is not known."""
    return megabytes(None if count is None or count < 0 else count)


def room(count: int) -> str:
    """Of a disk: `69.5 GiB`, `512 MiB`."""
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count // MIB} MiB"


def estimate(count: int | None) -> str:
    """A loss, as what it is; below zero it is not known."""
    return estimated(None if count is None or count < 0 else count)


def at_most(loss_ms: int | None) -> str:
    """Behind a loss: the time whose commits they are; nothing where it is not known."""
    return "" if loss_ms is None or loss_ms < 0 else f" of {seconds(loss_ms)} at most"


def moment(at_ms: int, zone: bool = True) -> str:
    """Local time and UTC: `2026-11-24 11:20:05 WIB (04:20:05 UTC)`."""
    there = datetime.fromtimestamp(at_ms / 1000, UTC)
    here = there.astimezone()
    if not zone or here.utcoffset() == there.utcoffset():
        return here.strftime("%Y-%m-%d %H:%M:%S %Z") if zone else here.strftime("%H:%M:%S")
    return f"{here:%Y-%m-%d %H:%M:%S %Z} ({there:%H:%M:%S} UTC)"
