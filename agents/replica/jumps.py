"""Jumps of wall time that a guard cannot know, for it took a dead one's place after them.

Each guard sees by itself what jumps in its own time (`agents.guard.clocks`); a lease that was asked
for before that time is made shorter here, before it is handed on (docs/decisions/0014-clocks.md).
"""

from __future__ import annotations

from msgspec.structs import replace

from agents.core.actions import PermitLease
from agents.guard.client import now_ms
from agents.guard.clocks import Clocks, read_clocks


class Jumps:
    """What this life of the agent saw of the clocks, look by look."""

    def __init__(self, clocks: Clocks | None = None) -> None:
        self._clocks = clocks or Clocks(read_clocks)
        self._guard_since_ms = 0
        """The present guard sees what jumps from then on. The first one saw all of it."""

    def look(self) -> None:
        """Compare the clocks, often: a step back in between would hide as much of a jump."""
        self._clocks.turn()

    def begin_guard(self) -> None:
        """Another guard stands in the place of a dead one, and was told of no lease yet."""
        self._guard_since_ms = now_ms()

    def shortened(self, permit: PermitLease) -> PermitLease:
        """The permit without what jumped since its lease was asked for, if that was before the
        present guard. What jumped since then the guard takes off as well: too much, for once.

        Nothing is left of it while the clocks cannot be read clearly.
        """
        if permit.asked_ms > self._guard_since_ms:
            return permit
        self._clocks.turn()
        if not self._clocks.clear:
            return replace(permit, end_ms=0, lease_end_ms=0)
        missed_ms = self._clocks.jumped_since_ms(permit.asked_ms)
        end_ms, lease_end_ms = permit.end_ms - missed_ms, permit.lease_end_ms - missed_ms
        return replace(permit, end_ms=end_ms, lease_end_ms=lease_end_ms)
