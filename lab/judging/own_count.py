"""What clients count as lost with an old primary, against what its quarantine says that it holds.

A quarantine counts the transactions that were committed after the log forked, without Saling's
own probes. On the lab's engines nobody else commits than the lab's clients: the writers (inside
the site and outside) and the site's prober, one transaction a row. So it must hold

    at least  every row that the old primary acknowledged to one of them and that is absent
    at most   those, and the absent rows that were sent to it and never answered

and where no answer is owed the two are one number. Rows that came late to the new primary are
present, and no loss; a row that the server refused was never committed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

import msgspec

from agents.engines.base import Quarantined
from lab.base.records import Answer, Insert, Outcome, Probe

PROBES_SQL = "SELECT n FROM lab_probes WHERE site = $1"

Line = TypeVar("Line", Insert, Probe)


class OwnCount(msgspec.Struct, frozen=True):
    """Absent rows that clients had sent to the old primary."""

    acked: int
    unanswered: int

    def __add__(self, other: OwnCount) -> OwnCount:
        return OwnCount(self.acked + other.acked, self.unanswered + other.unanswered)


class Kept(msgspec.Struct, frozen=True):
    """The two counts of one incident, and what is wrong with them; empty when they agree."""

    transactions: int | None
    """In quarantine since the incident began; None where they could not be counted."""
    own: OwnCount
    by_client: dict[str, OwnCount]
    wrong: str


def own_count_of_writes(
    inserts: Iterable[Insert], site: str, since_ms: float, present: Collection[int]
) -> OwnCount:
    """Of writers, at the engine of one site. `present`: the numbers at the primary in the end."""
    return _own_count(
        [i for i in inserts if i.site == site and i.start_ms >= since_ms],
        set(present),
        lambda line: line.outcome is Outcome.ACKED,
        lambda line: line.outcome is Outcome.UNKNOWN,
    )


def own_count_of_probes(
    probes: Iterable[Probe], site: str, since_ms: float, present: Collection[int]
) -> OwnCount:
    """Of a prober, likewise. One that could not even ask has nothing under way."""
    return _own_count(
        [p for p in probes if p.site == site and p.start_ms >= since_ms],
        set(present),
        lambda line: line.answer is Answer.COMMITTED,
        lambda line: line.answer is Answer.UNKNOWN and line.sent,
    )


def compared(fresh: list[Quarantined], site: str, by_client: dict[str, OwnCount]) -> Kept:
    """The quarantines that an incident left in a site, and what its clients count as lost."""
    own = sum(by_client.values(), OwnCount(0, 0))
    counts = [one.transactions for one in fresh]
    known = [count for count in counts if count is not None]
    total = sum(known) if len(known) == len(counts) else None
    agree = total is not None and own.acked <= total <= own.acked + own.unanswered
    wrong = "" if agree else _mismatch(fresh, site, total, by_client)
    return Kept(total, own, by_client, wrong)


def _own_count(
    lines: list[Line],
    present: set[int],
    is_acked: Callable[[Line], bool],
    is_unanswered: Callable[[Line], bool],
) -> OwnCount:
    absent = [line for line in lines if line.n not in present]
    return OwnCount(sum(map(is_acked, absent)), sum(map(is_unanswered, absent)))


def _mismatch(
    fresh: list[Quarantined], site: str, total: int | None, by_client: dict[str, OwnCount]
) -> str:
    counted = "an unknown number of" if total is None else str(total)
    clients = "; ".join(
        f"{name}: {one.acked} acknowledged and {one.unanswered} unanswered"
        for name, one in by_client.items()
    )
    places = ", ".join(str(one.path) for one in fresh) or "none"
    return (
        f"quarantine of {site}: it holds {counted} transactions, which is not what the clients of "
        f"its engine find absent ({clients}); quarantines: {places}"
    )
