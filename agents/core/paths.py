"""What the probes of one way found of late, which list of ways counts, and whose clock is wrong.

Round trips are microseconds, moments are milliseconds of the observer's boot-time clock.
"""

from __future__ import annotations

from collections import deque

from msgspec import Struct
from msgspec.structs import replace

from protocol.messages import Order, Path, Probe

PROBES_KEPT = 20
KEPT_MS = 60_000
"""An observer that could not ask for a while does not tell of what was before."""
PEERS_TO_JUDGE = 2
"""Of two clocks that differ nobody can say which is wrong."""
TERM_KEPT_MS = 60_000
"""A restored store begins with an older term: after so long without the newer one it counts."""


class Found(Struct, frozen=True):
    """One probe that was answered, or was not in time."""

    at_ms: int
    is_answered: bool
    round_trip_us: int | None = None
    """None where it was not answered."""
    clock_ahead_ms: int | None = None
    """Their wall clock minus ours; None where they did not say."""


class PathWindow:
    """The last probes of one way."""

    def __init__(self) -> None:
        self._found: deque[Found] = deque(maxlen=PROBES_KEPT)
        self._begun_ms: int | None = None
        self._answered_ms: int | None = None

    def ask(self, at_ms: int) -> None:
        """A probe is sent."""
        if self._begun_ms is None:
            self._begun_ms = at_ms

    def take(self, found: Found) -> None:
        """A probe ended."""
        self._found.append(found)
        if found.is_answered:
            self._answered_ms = found.at_ms

    def path(self, to: str, now_ms: int) -> Path:
        """As it is reported."""
        found = [one for one in self._found if now_ms - one.at_ms <= KEPT_MS]
        since_ms = self._begun_ms if self._answered_ms is None else self._answered_ms
        return Path(
            to=to,
            asked=len(found),
            lost=sum(not one.is_answered for one in found),
            round_trip_us=median([x.round_trip_us for x in found if x.round_trip_us is not None]),
            answer_age_ms=0 if since_ms is None else max(0, now_ms - since_ms),
            clock_ahead_ms=self.clock_ahead_ms(now_ms) or 0,
        )

    def clock_ahead_ms(self, now_ms: int) -> int | None:
        """The median of what their wall clock was ahead of ours; None where they did not say."""
        told = [
            one.clock_ahead_ms
            for one in self._found
            if one.clock_ahead_ms is not None and now_ms - one.at_ms <= KEPT_MS
        ]
        return median(told) if told else None


class ProbeList(Struct, frozen=True):
    """Whom to probe, and which term said so."""

    name: str = ""
    probes: tuple[Probe, ...] = ()
    term: int = 0
    term_heard_ms: int = 0


def take_list(known: ProbeList, order: Order, now_ms: int) -> ProbeList:
    """The list after this Order; one that names none changes nothing but the term."""
    is_lower = order.term < known.term
    if is_lower and now_ms - known.term_heard_ms < TERM_KEPT_MS:
        return known
    known = replace(known, term=order.term, term_heard_ms=now_ms)
    if not order.probe_list:
        return known
    first = {probe.agent: probe for probe in reversed(order.probes)}
    probes = tuple(probe for probe in order.probes if first[probe.agent] is probe)
    return replace(known, name=order.probe_list, probes=probes)


def median(values: list[int]) -> int:
    """The middle one, of two the lower; 0 of none."""
    return sorted(values)[(len(values) - 1) // 2] if values else 0


def clock_off(aheads_ms: tuple[int, ...], probed: int, bound_ms: int) -> str:
    """Why this host's wall clock is the wrong one; empty when it is not or nobody can tell.

    `aheads_ms`: their clocks minus ours, of those of the `probed` agents that told.
    """
    beyond = [ahead_ms for ahead_ms in aheads_ms if abs(ahead_ms) > bound_ms]
    later = sum(ahead_ms > 0 for ahead_ms in beyond)
    agree = max(later, len(beyond) - later)
    if probed < PEERS_TO_JUDGE or agree * 2 <= probed:
        return ""
    ahead_ms = median(list(aheads_ms))
    how = "behind" if ahead_ms > 0 else "ahead of"
    return (
        f"the wall clock of this host is {abs(ahead_ms)} ms {how} those of {agree} of {probed} "
        "agents of other sites: see to its time daemon"
    )
