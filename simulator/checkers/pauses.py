"""A pause is kept: while an operator has turned automatic failover off, none begins by itself."""

from __future__ import annotations

from controller.core.model import Phase, Record
from simulator.watch import Broken, Watch

BY_ITSELF = "the controller"


class PauseKept(Watch):
    """Looks at who begins each COUNTDOWN."""

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        begins = new.phase is Phase.COUNTDOWN and old is not None and old.phase is Phase.PROTECTED
        if not begins or old is None or not old.paused or new.operation is None:
            return
        if new.operation.by == BY_ITSELF:
            raise Broken("pause", f"{new.service}: a failover began, though paused {old.paused}")
