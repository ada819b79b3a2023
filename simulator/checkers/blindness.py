"""A controller that hears too few is the blind one, and moves nothing because of any site."""

from __future__ import annotations

from controller.core.plan_model import Plan
from simulator.watch import Broken, Watch

KNOWS_AFTER_MS = 9000
"""By then nothing counts any more that it heard before, also what came late; and what was decided
before is written, also by a slow store."""


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
        if not new.by_policy or not blind:
            return
        tries = {step.key: step.tries for step in old.steps} if old else {}
        asked = [s.service for s in new.steps if s.tries > tries.get(s.key, 0)]
        if old is None or asked:
            what = f"asks for {', '.join(asked)}" if asked else f"is begun: {new.reason}"
            raise Broken(
                "blind",
                f"the controller hears too few since {self._since_ms / 1000:.1f} s, and {new.id} "
                f"{what}",
            )
