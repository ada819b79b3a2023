"""I10: the history is complete and in order: each change follows from the one before."""

from __future__ import annotations

from controller.core.model import HeldFor, Phase, Record, Transition
from simulator.watch import Broken, Watch


class WholeAudit(Watch):
    """Reads the history of each service, line by line, beside the records."""

    def __init__(self) -> None:
        self._terms: dict[str, int] = {}

    def restored(self, now_ms: int, records: dict[str, Record]) -> None:
        self._terms = {r.service: r.term for r in records.values()}

    def told(self, now_ms: int, change: Transition, old: Record, new: Record) -> None:
        said = (change.from_phase, change.to_phase, change.revision, change.epoch, change.primary)
        done = (old.phase.value, new.phase.value, new.revision, new.epoch, new.primary)
        if said != done:
            raise Broken("I10", f"{new.service}: the history says {said}, the store {done}")
        if new.revision <= old.revision:
            raise Broken("I10", f"{new.service}: revision {new.revision} follows {old.revision}")
        if not change.because:
            raise Broken("I10", f"{new.service}: revision {new.revision} has no sentence")
        self._in_order(change, old, new)

    def _in_order(self, change: Transition, old: Record, new: Record) -> None:
        """No line is missing, and a reign begins where a promotion or an adoption says so."""
        adopts = new.held_for is HeldFor.ADOPTION and old.held_for is HeldFor.RESTORED
        promotes = new.phase is Phase.PROMOTING and old.phase is not Phase.PROMOTING
        same_reign = (old.epoch, old.primary) == (new.epoch, new.primary)
        if not adopts and new.revision != old.revision + 1:
            raise Broken("I10", f"{new.service}: revision {new.revision} follows {old.revision}")
        if not adopts and same_reign is promotes:
            raise Broken("I10", f"{new.service}: revision {new.revision} changes the reign")
        if change.term < self._terms.get(new.service, 0) or change.term != new.term:
            raise Broken("I10", f"{new.service}: revision {new.revision} is of an older term")
        self._terms[new.service] = change.term
        if change.outcome and new.operation is not None:
            raise Broken("I10", f"{new.service}: {new.operation.id} ended and goes on")
