"""I3: a sync service loses no acknowledged write but what an operator approved, and a switchover
never loses any."""

from __future__ import annotations

from controller.core.model import Phase, Protection, Record
from simulator.checkers.loss_bound import approved_bytes
from simulator.watch import Broken, Watch


class NothingLost(Watch):
    """Looks at what a copy lacks when it becomes writable."""

    def __init__(self) -> None:
        self._sync: set[str] = set()
        """Services in whose record sync mode is in force."""
        self._planned: dict[str, bool] = {}
        self._approved_bytes: dict[str, int] = {}

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        if new.protection is Protection.SYNC:
            self._sync.add(new.service)
        else:
            self._sync.discard(new.service)
        if old and new.phase is Phase.PROMOTING and old.phase is not Phase.PROMOTING:
            self._planned[new.service] = old.phase is Phase.DRAINING
            self._approved_bytes[new.service] = approved_bytes(old)

    def writes(self, now_ms: int, service: str, agent: str, epoch: int, lost_bytes: int) -> None:
        if not lost_bytes:
            return
        if service in self._sync and lost_bytes > self._approved_bytes.get(service, 0):
            raise Broken("I3", f"sync {service}: {agent} lacks {lost_bytes} acknowledged bytes")
        if self._planned.get(service):
            raise Broken("I3", f"{service}: a switchover to {agent} lost {lost_bytes} bytes")
