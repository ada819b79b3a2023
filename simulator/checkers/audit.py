"""I10: the history is complete and in order: each change follows from the one before."""

from __future__ import annotations

from controller.core.model import Record, Transition
from simulator.watch import Broken, Watch


class WholeAudit(Watch):
    """Reads the history of each service, line by line, beside the records."""

    def told(self, now_ms: int, change: Transition, old: Record, new: Record) -> None:
        said = (change.from_phase, change.to_phase, change.revision, change.epoch, change.primary)
        done = (old.phase.value, new.phase.value, new.revision, new.epoch, new.primary)
        if said != done:
            raise Broken("I10", f"{new.service}: the history says {said}, the store {done}")
        if new.revision <= old.revision:
            raise Broken("I10", f"{new.service}: revision {new.revision} follows {old.revision}")
        if not change.because:
            raise Broken("I10", f"{new.service}: revision {new.revision} has no sentence")
