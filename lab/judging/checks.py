"""What a run of the lab proves: how long nobody could write, what was lost, who wrote at once.

Pure functions over the logs of `lab.base.records` and over rows read back from the engines. Times
are milliseconds: of the boot-time clock in logs, of the wall clock in commit timestamps. The
two are never mixed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations, pairwise

from msgspec import Struct

from lab.base.records import Answer, Insert, Outcome, Probe

NUMBERS_SQL = "SELECT n FROM lab_writes ORDER BY n"
WRITE_COMMITS_SQL = (
    "SELECT 'write ' || n, "
    "(extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000)::float8 FROM lab_writes"
)
PROBE_COMMITS_SQL = (
    "SELECT 'probe ' || site || ' ' || n, "
    "(extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000)::float8 FROM lab_probes"
)
"""Rows for `commits_of`, to be read from each copy; needs track_commit_timestamp = on."""


class Gap(Struct, frozen=True):
    """A time without an acknowledged write: from one acknowledgement to the next.

    With `ended` false none came before the end of the window, where the gap is cut.
    """

    start_ms: float
    end_ms: float
    ended: bool = True

    @property
    def length_ms(self) -> float:
        return self.end_ms - self.start_ms


class Loss(Struct, frozen=True):
    """What became of the numbers that were tried."""

    acked: int
    lost: tuple[int, ...]
    """Acknowledged, and absent."""
    survived: tuple[int, ...]
    """Never answered, and present: no loss, for the client was told nothing."""
    contradicted: tuple[int, ...]
    """Refused by the server, and present all the same: what is measured is broken, or how."""


class Commit(Struct, frozen=True):
    """One row, and the wall time at which a copy says that it was committed."""

    row: str
    at_ms: float


class Overlap(Struct, frozen=True):
    """How long two copies could be written at once.

    `seen` says whether it was proven at all, `proven_ms` for how long at least, `possible_ms`
    for how long at most; the difference is how coarsely it was looked.
    """

    seen: bool = False
    proven_ms: float = 0.0
    possible_ms: float = 0.0


def gaps(inserts: Iterable[Insert], from_ms: float, to_ms: float) -> list[Gap]:
    """The gaps that reach into a window, whole where they begin before it, cut at its end.

    One begins at an acknowledgement, or at `from_ms` where there was none before.
    """
    acks = sorted(i.end_ms for i in inserts if i.outcome is Outcome.ACKED and i.end_ms <= to_ms)
    before = [at for at in acks if at <= from_ms]
    marks = [before[-1] if before else from_ms, *(at for at in acks if at > from_ms)]
    found = [Gap(start, end) for start, end in pairwise(marks)]
    if marks[-1] < to_ms:
        found.append(Gap(marks[-1], to_ms, ended=False))
    return found


def longest_gap(inserts: Iterable[Insert], from_ms: float, to_ms: float) -> Gap:
    """The longest gap of a window: of a quiet minute, it is the base line; after an event, the
    outage. Raises ValueError for an empty window.
    """
    if not from_ms < to_ms:
        raise ValueError(f"window: it ends at {to_ms}, not after its start at {from_ms}")
    return max(gaps(inserts, from_ms, to_ms), key=lambda gap: gap.length_ms)


def gaps_above(
    inserts: Iterable[Insert], from_ms: float, to_ms: float, threshold_ms: float
) -> list[Gap]:
    """All gaps of a window that are longer than `threshold_ms`, in order."""
    return [gap for gap in gaps(inserts, from_ms, to_ms) if gap.length_ms > threshold_ms]


def loss(inserts: Iterable[Insert], present: Iterable[int]) -> Loss:
    """Compare what the writer was told with the numbers read from the primary at the end."""
    here = set(present)
    by_outcome: dict[Outcome, set[int]] = {outcome: set() for outcome in Outcome}
    for insert in inserts:
        by_outcome[insert.outcome].add(insert.n)
    acked, unknown = by_outcome[Outcome.ACKED], by_outcome[Outcome.UNKNOWN]
    return Loss(
        acked=len(acked),
        lost=tuple(sorted(acked - here)),
        survived=tuple(sorted(unknown & here)),
        contradicted=tuple(sorted(by_outcome[Outcome.FAILED] & here)),
    )


def commits_of(rows: Iterable[Sequence[object]]) -> list[Commit]:
    """Rows as read from one copy. Raises ValueError for one without a commit timestamp."""
    found = []
    for row, at_ms in rows:
        if not isinstance(row, str) or not isinstance(at_ms, float):
            raise ValueError(f"row {row!r}: no commit timestamp: set track_commit_timestamp = on")
        found.append(Commit(row, at_ms))
    return found


def overlap_of_commits(old: Iterable[Commit], new: Iterable[Commit]) -> Overlap:
    """How long the old primary's copy, read by itself, went on after the new one's first commit.

    The new reign begins with the first commit that the old copy has not. Both copies stamp
    with the clock of one machine, so what is found is proven, and nothing beyond it is said.
    """
    past = {commit.row: commit.at_ms for commit in old}
    reign = [commit.at_ms for commit in new if commit.row not in past]
    if not reign or not past:
        return Overlap()
    length_ms = max(past.values()) - min(reign)
    return Overlap(length_ms > 0, max(0.0, length_ms), max(0.0, length_ms))


class _Run(Struct, frozen=True):
    """A time in which one copy committed every probe, and how far beyond it may reach."""

    site: str
    first_end_ms: float
    last_start_ms: float
    earliest_ms: float
    latest_ms: float


def overlap_of_probes(probes: Iterable[Probe], service: str) -> Overlap:
    """Whether the probers of two sites committed at once, for one service.

    Between two commits with no refusal between them a copy counts as writable. It may have
    been so since the start of the refusal before, and until the end of the refusal after.
    A probe that got no answer proves neither. The longest overlap of any two runs is told.
    A refused connection is taken for a refusal, though an old session might still write then;
    that is what the commit timestamps are for.
    """
    runs = _runs(probe for probe in probes if probe.service == service)
    found = [_overlap(a, b) for a, b in combinations(runs, 2) if a.site != b.site]
    return Overlap(
        seen=any(one.seen for one in found),
        proven_ms=max((one.proven_ms for one in found), default=0.0),
        possible_ms=max((one.possible_ms for one in found), default=0.0),
    )


def worst(*overlaps: Overlap) -> Overlap:
    """The verdict over several ways to look: each figure is the largest one."""
    return Overlap(
        seen=any(one.seen for one in overlaps),
        proven_ms=max((one.proven_ms for one in overlaps), default=0.0),
        possible_ms=max((one.possible_ms for one in overlaps), default=0.0),
    )


def _overlap(a: _Run, b: _Run) -> Overlap:
    seen = a.last_start_ms > b.first_end_ms and b.last_start_ms > a.first_end_ms
    proven_ms = min(a.last_start_ms, b.last_start_ms) - max(a.first_end_ms, b.first_end_ms)
    possible_ms = min(a.latest_ms, b.latest_ms) - max(a.earliest_ms, b.earliest_ms)
    return Overlap(seen, max(0.0, proven_ms), max(0.0, possible_ms))


def _runs(probes: Iterable[Probe]) -> list[_Run]:
    by_site: dict[str, list[Probe]] = defaultdict(list)
    for probe in probes:
        if probe.answer is not Answer.UNKNOWN:
            by_site[probe.site].append(probe)
    runs = []
    for site in sorted(by_site):
        runs += _runs_of_site(site, sorted(by_site[site], key=lambda probe: probe.start_ms))
    return runs


def _runs_of_site(site: str, probes: Sequence[Probe]) -> list[_Run]:
    runs: list[_Run] = []
    committed: list[Probe] = []
    refused_ms = probes[0].start_ms
    for probe in probes:
        if probe.answer is Answer.COMMITTED:
            committed.append(probe)
            continue
        if committed:
            runs.append(_run(site, committed, refused_ms, probe.end_ms))
            committed = []
        refused_ms = probe.start_ms
    if committed:
        runs.append(_run(site, committed, refused_ms, committed[-1].end_ms))
    return runs


def _run(site: str, committed: list[Probe], earliest_ms: float, latest_ms: float) -> _Run:
    return _Run(site, committed[0].end_ms, committed[-1].start_ms, earliest_ms, latest_ms)
