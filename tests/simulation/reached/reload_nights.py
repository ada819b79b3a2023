"""Nights in which the configuration changes while the controller leads, or while it is down."""

from __future__ import annotations

from controller.core.model import BackupLoss, Protection
from simulator.setting import ServiceSetting
from simulator.strike import Strike
from tests.simulation.night import Night, Pairs, member

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
    Night(
        Strike(8_000, "reload-leave", ("bravo",)),
        Strike(9_000, "switchover", ("s1",)),
        Strike(9_020, "reload-stage", ("bravo", "suspended")),
    ),
    *(
        Night(
            Strike(8_000, "crash-host", ("bravo",), 4_000),
            Strike(at_ms, "reload-stage", ("bravo", "suspended")),
        )
        for at_ms in range(13_050, 13_800, 150)
    ),
)  # fmt: skip

_APART = (member("s1"), ServiceSetting("s2", "alpha", "charlie"))
"""Services of one site with backups at two."""

_NO_BACKUP = (
    Strike(8_000, "maintenance-begin", ("s1",), 60_000),
    Strike(10_000, "reload-leave", ("bravo",)),
)

STAGES = (
    Pairs(*_NO_BACKUP, Strike(9_500, "plan-evacuate", ("alpha",)), services=_APART),
    Pairs(
        *_NO_BACKUP, Strike(12_000, "plan-evacuate", ("alpha",)),
        Strike(16_000, "reload-join", ("bravo",)), services=_APART,
    ),
    Pairs(
        Strike(8_000, "reload-stage", ("delta", "suspended")),
        Strike(8_100, "reload-stage", ("charlie", "suspended")),
        Strike(9_000, "crash-host", ("alpha",), 9_000),
        Strike(9_500, "plan-evacuate", ("charlie",)),
        Strike(20_000, "reload-stage", ("delta", "active")),
    ),
)  # fmt: skip
