"""When a promise may break: what no rule survives has happened to that service, and not before.

A profile names the promises (`not_promised`); docs/simulated-faults.md says why for each.
"""

from __future__ import annotations

from controller.core.model import HeldFor, Record
from simulator.setting import ServiceSetting
from simulator.strike import Strike
from simulator.watch import Broken, Watch


class Excuses(Watch):
    """Remembers whose disks forgot, and restored stores of which no agent has told yet."""

    def __init__(self, services: tuple[ServiceSetting, ...]) -> None:
        self._services = services
        self._forgotten: set[str] = set()
        """Services of which a copy stands on a host whose disk forgot."""
        self._revisions: dict[str, int] = {}
        self._untold: set[str] = set()
        """Services whose store lost a change, and whose controller goes on as if it had not."""

    def excuse(self, broken: Broken) -> bool:
        """Whether it broke for the very service that has an excuse."""
        return broken.service in self._forgotten or broken.service in self._untold

    def struck(self, now_ms: int, strike: Strike) -> None:
        if strike.verb == "forget-writes":
            site = strike.on[0]
            here = [s.name for s in self._services if site in (s.primary, s.backup)]
            self._forgotten.update(here)

    def restored(self, now_ms: int, records: dict[str, Record]) -> None:
        for record in records.values():
            if record.revision < self._revisions.get(record.service, 0):
                self._untold.add(record.service)

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        self._revisions[new.service] = new.revision
        if new.held_for in (HeldFor.RESTORED, HeldFor.ADOPTION):
            self._untold.discard(new.service)
