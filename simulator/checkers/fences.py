"""I6, I7: where the faults leave the primary a grantor, nobody is fenced."""

from __future__ import annotations

from controller.core.model import Phase, Record
from simulator.watch import Broken, Watch


class NobodyFenced(Watch):
    """For profiles of faults that must not fence: from PROTECTED on, no fence at all."""

    def __init__(self, rule: str) -> None:
        self._rule = rule
        self._protected: list[str] = []

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        if new.phase is Phase.PROTECTED and new.service not in self._protected:
            self._protected.append(new.service)

    def fenced(self, now_ms: int, service: str, agent: str, reason: str) -> None:
        if service in self._protected:
            raise Broken(self._rule, f"{service}: {agent} was fenced ({reason}), for nothing")
