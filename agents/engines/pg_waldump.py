"""What was committed in a stretch of log, counted with PostgreSQL's own pg_waldump.

The program belongs to the server of one major version: it is looked for beside the binaries,
then where Debian puts it. Its output (rmgrdesc of PostgreSQL 15 to 18) is a line a record.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct, field

from agents.engines.base import EngineBusy, EngineError
from agents.engines.pg_lineage import Span
from agents.engines.pg_tools import ToolFailed, Tools
from agents.engines.pg_wal import Segment, format_lsn, parse_lsn

DEBIAN = "/usr/lib/postgresql/{major}/bin/pg_waldump"
RELATIONS_AT_MOST = 10_000

_RECORD = re.compile(
    r"rmgr: (\S+) .*?tx: +(\d+), lsn: ([0-9A-F/]+), prev [0-9A-F/]+, desc: (\S+)(.*)"
)
_RELATION = re.compile(r"\brel (\d+/\d+/\d+)\b")
_TIME = re.compile(r"\d{4,}-\d\d-\d\d \d\d:\d\d:\d\d[.\d]* \S+?(?=;|$|\s)")
_TWO_PHASE = re.compile(r" (\d+): ")
_SUBTRANSACTIONS = re.compile(r"; subxacts: ([\d ]+)")
_END_OF_LOG = re.compile(r"error in WAL record at|could not find (?:a valid record|file)")
CHANGES = {"Heap", "Sequence"}
NO_CHANGE = ("LOCK", "VACUUM", "PRUNE", "FREEZE", "VISIBLE", "HEAP_CONFIRM")


class Counted(Struct):
    """What was committed in some spans. `relations`: tablespace/database/file, as in the log."""

    transactions: int = 0
    """All but Saling's own probes."""
    own_probes: int = 0
    first_commit: str = ""
    """UTC, as text; empty when there was none."""
    last_commit: str = ""
    relations: set[str] = field(default_factory=set)
    last_record_bytes: int = 0
    """Where the last whole record begins; 0 when there is none."""


def find_waldump(binaries: Path, major: int) -> Path | None:
    """The program of this very major version; None where it is not installed."""
    places = (binaries / "pg_waldump", Path(DEBIAN.format(major=major)))
    return next((place for place in places if place.is_file()), None)


async def count(
    tools: Tools,
    program: Path,
    spans: tuple[Span, ...],
    segments: list[Segment],
    probe: str,
    on_record: Callable[[int], None],
) -> Counted:
    """Count what the spans hold. `probe`: database/file of the probe's table, or nothing.

    Reads from the first segment of each timeline, for a transaction may have begun before the
    fork. `on_record` is told positions now and then. EngineError when the log cannot be read,
    EngineBusy when the program was killed: a count that stopped short is none.
    """
    counter = Counter(probe)
    for span in spans:
        mine = [s for s in segments if s.timeline == span.timeline]
        if not mine:
            continue
        counter.enter(span)
        begin = min(mine, key=lambda segment: segment.begin_bytes)
        arguments = ("-p", str(begin.path.parent), "-t", str(span.timeline))
        try:
            await tools.run(
                str(program),
                *(*arguments, "-s", format_lsn(begin.begin_bytes)),
                timeout_s=None,
                on_line=lambda line: on_record(counter.take(line)),
            )
        except ToolFailed as failure:
            if failure.killed:
                raise EngineBusy(f"the log was not read to its end: {failure}") from None
            # It ends so wherever the log ends, for nothing marks the end.
            if not _END_OF_LOG.search(failure.said):
                raise EngineError(f"the log cannot be read: {failure}") from None
    return counter.counted


class Counter:
    """Takes the records of the log in their order, one line each."""

    def __init__(self, probe: str) -> None:
        self.counted = Counted()
        self._probe = probe
        self._touched: dict[str, set[str]] = {}
        self._span = Span(0, 0, 0)
        self._at_bytes = 0

    def enter(self, span: Span) -> None:
        """What comes next is of this span's timeline; what stands before it only prepares."""
        self._span = span
        self._touched.clear()

    def take(self, line: str) -> int:
        """One line; returns the position that was read last."""
        record = _RECORD.match(line)
        if record is None:
            return self._at_bytes
        manager, number, at, what, rest = record.groups()
        self._at_bytes = parse_lsn(at)
        inside = self._span.begin_bytes <= self._at_bytes < self._span.end_bytes
        if inside:
            self.counted.last_record_bytes = self._at_bytes
        if manager == "Transaction":
            self._transaction(number, what, rest, inside)
        elif _changes(manager, what) and number != "0":
            self._touched.setdefault(number, set()).update(_RELATION.findall(rest))
        return self._at_bytes

    def _transaction(self, number: str, what: str, rest: str, inside: bool) -> None:
        if not what.startswith(("COMMIT", "ABORT")):
            return
        if prepared := _TWO_PHASE.match(rest):
            number = prepared[1]
        parts = _SUBTRANSACTIONS.search(rest)
        numbers = [number, *(parts[1].split() if parts else ())]
        touched = set[str]().union(*(self._touched.pop(each, ()) for each in numbers))
        if inside and what.startswith("COMMIT"):
            self._commit(touched, rest)

    def _commit(self, touched: set[str], rest: str) -> None:
        counted = self.counted
        if self._probe and {name.partition("/")[2] for name in touched} == {self._probe}:
            counted.own_probes += 1
            return
        counted.transactions += 1
        if found := _TIME.search(rest):
            counted.first_commit = counted.first_commit or found[0]
            counted.last_commit = found[0]
        if len(counted.relations) < RELATIONS_AT_MOST:
            counted.relations |= touched


def _changes(manager: str, what: str) -> bool:
    """Whether a record changes rows; housekeeping that runs along with any query does not."""
    if manager == "Heap2":
        return what.startswith("MULTI_INSERT")
    return manager in CHANGES and not what.startswith(NO_CHANGE)
