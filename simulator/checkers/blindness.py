"""A controller that hears too few is the blind one, and moves nothing because of any site."""

from __future__ import annotations

from controller.core.plan_model import Plan
from simulator.watch import Broken, Watch

KNOWS_AFTER_MS = 4000
"""By then nothing that it heard before counts any more."""


class BlindMovesNothing(Watch):
    """Is told now and then, in true time, how many agents the controller can hear."""

    def __init__(self) -> None:
        self._since_ms = -1

    def look(self, now_ms: int, heard: int, agents: int) -> None:
        """Fewer than half are too few."""
        if 2 * heard >= agents:
            self._since_ms = -1
        elif self._since_ms < 0:
            self._since_ms = now_ms

    def planned(self, now_ms: int, old: Plan | None, new: Plan) -> None:
        blind = 0 <= self._since_ms <= now_ms - KNOWS_AFTER_MS
        if old is None and new.by_policy and blind:
            raise Broken(
                "blind",
                f"{new.id} is begun though the controller hears too few since "
                f"{self._since_ms / 1000:.1f} s: {new.reason}",
            )
