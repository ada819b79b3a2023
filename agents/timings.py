"""How a replica's renewals and kills come in time, over the last thousands of each.

A gap is the time between two successive extensions of the lease of a leased primary. What is not
renewed (a standby, one that stands alone, an engine that died) makes none. Moments are
milliseconds of the boot-time clock; the caller reads it.
"""

from __future__ import annotations

from agents.core.commits import CommitTimes
from agents.spread import Spread
from protocol.messages import LeaseTerms

RENEWALS_TO_JUDGE = 500
"""Some minutes of them; p99.9 of fewer is but the highest of a bad moment."""
KILLS_TO_JUDGE = 10
"""Kills are rare: their p99.9 is the highest, and a fence that took too long once does so again."""
P999 = 999


class Timings:
    """Of one replica in one life of its agent."""

    def __init__(self) -> None:
        self._gaps = Spread()
        self._kills = Spread()
        self._extended_ms: int | None = None
        self._terms: LeaseTerms | None = None
        self.commits = CommitTimes()
        """How long probe rows took."""

    def extended(self, at_ms: int) -> int | None:
        """The lease was extended: the gap since the last time, None for the first one."""
        last_ms, self._extended_ms = self._extended_ms, at_ms
        if last_ms is None:
            return None
        gap_ms = max(0, at_ms - last_ms)
        self._gaps.add(gap_ms)
        return gap_ms

    def interrupted(self) -> None:
        """There is no lease to extend, or no primary that renews it: the next is a first one."""
        self._extended_ms = None

    def killed(self, kill_ms: int) -> None:
        """An engine was ended, from the first signal until its last process was gone."""
        self._kills.add(max(0, kill_ms))

    def under(self, terms: LeaseTerms | None) -> None:
        """These terms are in force: gaps under others say nothing of them."""
        if terms != self._terms:
            self._terms = terms
            self._gaps.clear()
            self.interrupted()

    @property
    def renewal_gap_p999_ms(self) -> int:
        """0 while there are too few to judge."""
        return self._gaps.percentile_ms(P999) if len(self._gaps) >= RENEWALS_TO_JUDGE else 0

    @property
    def kill_p999_ms(self) -> int:
        """0 while there are too few to judge."""
        return self._kills.percentile_ms(P999) if len(self._kills) >= KILLS_TO_JUDGE else 0
