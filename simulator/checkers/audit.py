"""I10: the audit is complete and ordered: each line follows the one before, and says why."""

from __future__ import annotations

from controller.core.model import HeldFor, Phase, Record, Transition
from simulator.watch import Broken, Watch


class OrderedAudit(Watch):
    """Compares each line with the line before it and with what it made of the record."""

    def __init__(self) -> None:
        self._last: dict[str, Record] = {}

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        if old is None:
            self._last[new.service] = new

    def restored(self, now_ms: int, records: dict[str, Record]) -> None:
        self._last.update({record.service: record for record in records.values()})

    def audited(self, now_ms: int, line: Transition, new: Record) -> None:
        last = self._last[line.service]
        self._last[line.service] = new
        told = (line.revision, line.epoch, line.to_phase, line.primary, line.backup, line.term)
        made = (new.revision, new.epoch, new.phase.value, new.primary, new.backup, new.term)
        _demand(told == made, line, f"it says {told}, and the record {made}")
        _demand(line.from_phase == last.phase.value, line, f"the last led to {last.phase.value}")
        _demand(line.term >= last.term, line, f"the last was of term {last.term}")
        _demand(bool(line.because), line, "it does not say why")
        adopts = new.held_for is HeldFor.ADOPTION and last.held_for is HeldFor.RESTORED
        _demand(adopts or line.revision == last.revision + 1, line, f"the last was {last.revision}")
        promotes = new.phase is Phase.PROMOTING and last.phase is not Phase.PROMOTING
        same = (last.epoch, last.primary) == (new.epoch, new.primary)
        _demand(adopts or same is not promotes, line, "only a promotion begins a reign")
        ends = last.operation is not None and new.operation is None
        _demand(bool(line.outcome) or not ends, line, "an operation ended, and it says not how")
        _demand(ends or not line.outcome, line, f"{line.outcome}, and the operation goes on")
        if ends or promotes:
            _demand(line.operation is not None, line, "it names no operation")


def _demand(holds: bool, line: Transition, why: str) -> None:
    if not holds:
        raise Broken(
            "I10",
            f"{line.service}: the line of revision {line.revision}, {line.from_phase} -> "
            f"{line.to_phase}, does not fit: {why}",
        )
