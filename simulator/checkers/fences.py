"""I6, I7: where the faults leave the primary a grantor, nobody is fenced."""

from __future__ import annotations

from controller.core.model import Phase, Record
from simulator.strike import Strike
from simulator.watch import Broken, Watch

HARMLESS = ("fill-disk", "slow-looks", "cut", "cut-one-way")
"""A primary is not fenced for these at its own site either: no lease needs its disk, and a link
is no site. Who cuts a primary off from all its grantors must not ask for this checker."""


AT_ONCE = ("kill-guard", "crash-engine", "kill-agent-after-writes")
"""These are over as soon as they are done, though no end is named."""
AFTERMATH_MS = 15_000
"""So long after a strike its site may still be fenced: two of the longest leases, a start."""


class NobodyFenced(Watch):
    """For faults that must not fence: once PROTECTED, only at a site struck of late."""

    def __init__(self, rule: str) -> None:
        self._rule = rule
        self._protected: set[str] = set()
        self._excused_until_ms: dict[str, int] = {}

    def struck(self, now_ms: int, strike: Strike) -> None:
        if strike.verb in HARMLESS:
            return
        over_ms = now_ms if strike.verb in AT_ONCE else strike.until_ms
        for place in strike.on:
            known_ms = self._excused_until_ms.get(place, 0)
            self._excused_until_ms[place] = max(known_ms, over_ms + AFTERMATH_MS)

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        if new.phase is Phase.PROTECTED:
            self._protected.add(new.service)

    def fenced(self, now_ms: int, service: str, agent: str, reason: str) -> None:
        excused = now_ms <= self._excused_until_ms.get(agent, 0)
        if service in self._protected and not excused:
            raise Broken(self._rule, f"{service}: {agent} was fenced ({reason}), for nothing")
