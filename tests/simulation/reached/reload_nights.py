"""Nights in which the configuration changes while the controller leads, or while it is down."""

from __future__ import annotations

from controller.core.model import BackupLoss, Protection
from simulator.strike import Strike
from tests.simulation.night import Night

_HANGS = Strike(8_900, "hang-engine", ("alpha", "s1"), 8_000)
"""With a standard lease: COUNTDOWN from about 12 s on, and alpha is heard all the while."""


def _found_suspended(at_ms: int, down_ms: int) -> tuple[Strike, ...]:
    """A controller that leads refuses such a file in mid-operation. One that starts has to take
    it, for what it knows of the service is older than the file."""
    return (
        Strike(at_ms, "crash-controller", (), down_ms),
        Strike(at_ms + down_ms // 2, "reload-stage", ("bravo", "suspended")),
    )


RELOADS = (
    Night(_HANGS, *_found_suspended(12_300, 300), lease="standard"),
    Night(
        _HANGS, *_found_suspended(12_300, 300), lease="standard",
        protection=Protection.SYNC, backup_loss=BackupLoss.BLOCK,
    ),
    Night(Strike(9_000, "switchover", ("s1",)), *_found_suspended(9_020, 100)),
    Night(
        Strike(9_000, "reload-stage", ("bravo", "planned")),
        Strike(10_000, "reload-stage", ("alpha", "planned")),
    ),
)  # fmt: skip
