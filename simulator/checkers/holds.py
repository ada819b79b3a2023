"""I8: a service waits for an operator to accept a restored store only where one was restored."""

from __future__ import annotations

from controller.core.model import HeldFor, Record
from simulator.strike import Strike
from simulator.watch import Broken, Watch


class HeldWithReason(Watch):
    """A false hold of that kind would stop a service that is well, until somebody says yes."""

    def __init__(self) -> None:
        self._may_be = False
        """Whether anything happened that makes the store older than what an agent knows."""

    def restored(self, now_ms: int, records: dict[str, Record]) -> None:
        self._may_be = True

    def struck(self, now_ms: int, strike: Strike) -> None:
        self._may_be = self._may_be or strike.verb == "forget-writes"

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        if new.held_for is HeldFor.RESTORED and not self._may_be:
            raise Broken("I8", f"{new.service} is held for a restored store, and none was restored")
