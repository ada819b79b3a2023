"""I3: a sync service loses no acknowledged write, and a switchover never loses any."""

from __future__ import annotations

from controller.core.model import HeldFor, Phase, Protection, Record
from simulator.watch import Broken, Watch


class NothingLost(Watch):
    """Looks at what a copy lacks when it becomes writable."""

    def __init__(self) -> None:
        self._sync: set[str] = set()
        """Services in whose record sync mode is in force."""
        self._planned: dict[str, bool] = {}
        self._forced: set[str] = set()
        """Services whose last primary stood alone, with commits that waited for nobody, and was
        replaced by force."""

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        if new.protection is Protection.SYNC:
            self._sync.add(new.service)
        else:
            self._sync.discard(new.service)
        if old and new.phase is Phase.PROMOTING and old.phase is not Phase.PROMOTING:
            self._planned[new.service] = old.phase is Phase.DRAINING
            if old.held_for is HeldFor.FORCED:
                self._forced.add(new.service)
            else:
                self._forced.discard(new.service)

    def writes(self, now_ms: int, service: str, agent: str, epoch: int, lost_bytes: int) -> None:
        if not lost_bytes:
            return
        if service in self._sync and service not in self._forced:
            raise Broken("I3", f"sync {service}: {agent} lacks {lost_bytes} acknowledged bytes")
        if self._planned.get(service):
            raise Broken("I3", f"{service}: a switchover to {agent} lost {lost_bytes} bytes")
