"""When a promise may break: what no rule survives has happened, and not before it did.

A profile names the promises (`not_promised`); docs/simulated-faults.md says why for each.
"""

from __future__ import annotations

from controller.core.model import HeldFor, Record
from simulator.strike import Strike
from simulator.watch import Watch


class Excuses(Watch):
    """Remembers disks that forgot, and restored stores of which no agent has told yet."""

    def __init__(self) -> None:
        self._forgot = False
        self._revisions: dict[str, int] = {}
        self._untold: set[str] = set()
        """Services whose store lost a change, and whose controller goes on as if it had not."""

    @property
    def any(self) -> bool:
        return self._forgot or bool(self._untold)

    def struck(self, now_ms: int, strike: Strike) -> None:
        self._forgot = self._forgot or strike.verb == "forget-writes"

    def restored(self, now_ms: int, records: dict[str, Record]) -> None:
        for record in records.values():
            if record.revision < self._revisions.get(record.service, 0):
                self._untold.add(record.service)

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        self._revisions[new.service] = new.revision
        if new.held_for in (HeldFor.RESTORED, HeldFor.ADOPTION):
            self._untold.discard(new.service)
