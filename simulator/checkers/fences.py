"""I6, I7: where the faults leave the primary a grantor, nobody is fenced."""

from __future__ import annotations

from controller.core.model import Phase, Record
from simulator.strike import Strike
from simulator.watch import Broken, Watch


class NobodyFenced(Watch):
    """For faults that must not fence: once PROTECTED, only at a site that was struck itself."""

    def __init__(self, rule: str) -> None:
        self._rule = rule
        self._protected: set[str] = set()
        self._struck: set[str] = set()

    def struck(self, now_ms: int, strike: Strike) -> None:
        self._struck.update(strike.on)

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        if new.phase is Phase.PROTECTED:
            self._protected.add(new.service)

    def fenced(self, now_ms: int, service: str, agent: str, reason: str) -> None:
        if service in self._protected and agent not in self._struck:
            raise Broken(self._rule, f"{service}: {agent} was fenced ({reason}), for nothing")
