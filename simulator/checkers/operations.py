"""I8: every operation ends, or waits where it can be seen, and says why."""

from __future__ import annotations

from controller.core.model import Phase, Record, Transition
from simulator.watch import Broken, Watch

UNDER_WAY = (Phase.DRAINING, Phase.COUNTDOWN, Phase.PROMOTING, Phase.ROUTING)
SETTLED = (Phase.PROTECTED, Phase.ALONE, Phase.ARMING)
"""HELD is neither: an operation may wait in it, and the record says what for."""


class OperationsEnd(Watch):
    """Looks at each record as it is stored, and at what the history says of it."""

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        operation, phase = new.operation, new.phase
        if phase in UNDER_WAY and operation is None:
            raise Broken("I8", f"{new.service} is {phase.value} and no operation says who asked")
        if phase in SETTLED and operation is not None:
            raise Broken("I8", f"{new.service} is {phase.value} and {operation.id} has not ended")
        if not new.because or "{" in new.because:
            raise Broken("I8", f"{new.service} is {phase.value} and says not why: {new.because!r}")
        if phase is Phase.HELD and not new.held_for.value:
            raise Broken("I8", f"{new.service} is held, and nothing says what it waits for")

    def told(self, now_ms: int, change: Transition, old: Record, new: Record) -> None:
        ended = old.operation is not None and new.operation is None
        if ended and not change.outcome:
            raise Broken("I8", f"{new.service}: {change.operation} ended without an outcome")
