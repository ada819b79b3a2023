"""A pause is kept: while an operator has turned automatic failover off, nothing moves by itself."""

from __future__ import annotations

from controller.core.model import BY_ITSELF, Phase, Record
from simulator.watch import Broken, Watch

BEGINS = (Phase.COUNTDOWN, Phase.DRAINING)


class PauseKept(Watch):
    """Looks at who begins each COUNTDOWN and DRAINING."""

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        begins = old is not None and old.phase is Phase.PROTECTED and new.phase in BEGINS
        if not begins or old is None or not old.paused or new.operation is None:
            return
        if new.operation.by == BY_ITSELF:
            raise Broken(
                "pause",
                f"{new.service}: {new.phase.value} began by itself, though paused {old.paused}",
            )
