"""Which copy holds which committed bytes: a tree of timelines, as PostgreSQL keeps it."""

from __future__ import annotations

from collections.abc import Callable


class History:
    """One service's timelines, each with the one it left and where; and what was acknowledged."""

    def __init__(self) -> None:
        self._parents: dict[int, tuple[int, int]] = {}
        self._acked: dict[int, int] = {}
        self._count = 0
        self.listener: Callable[[int, int], None] = _nobody
        """Is told of each acknowledgement, before it is given."""

    def first(self) -> int:
        """The timeline of a new database."""
        self._count += 1
        return self._count

    def fork(self, timeline: int, position: int) -> int:
        """A new timeline that leaves another at a position."""
        self._count += 1
        self._parents[self._count] = (timeline, position)
        return self._count

    def acknowledge(self, timeline: int, position: int) -> None:
        """A client was told that everything up to here is committed."""
        if position > self._acked.get(timeline, 0):
            self.listener(timeline, position)
            self._acked[timeline] = position

    def reach(self, timeline: int, position: int) -> dict[int, int]:
        """Up to where a copy at this position holds each timeline that it descends from."""
        held = {timeline: position}
        while timeline in self._parents:
            timeline, fork = self._parents[timeline]
            position = min(position, fork)
            held[timeline] = position
        return held

    def follows(self, timeline: int, position: int, leader: int, leader_at: int) -> bool:
        """Whether a copy holds nothing that the leader's copy does not hold."""
        if timeline == leader:
            return position <= leader_at
        return position <= self.reach(leader, leader_at).get(timeline, -1)

    def lose(self, timeline: int, position: int) -> int:
        """How many acknowledged bytes a copy lacks; from now on they count as lost."""
        held = self.reach(timeline, position)
        lost = 0
        for known in sorted(self._acked):
            start = self._parents.get(known, (0, 0))[1]
            kept = max(held.get(known, 0), start)
            lost += max(0, self._acked[known] - kept)
            self._acked[known] = min(self._acked[known], kept)
        return lost


def _nobody(_timeline: int, _position: int) -> None:
    """Listens to no acknowledgement."""
