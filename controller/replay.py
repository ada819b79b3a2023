"""Replays a journal: the recorded events go through the rules again, and their decisions are
compared with the recorded ones.

Each file begins with a snapshot and is replayed by itself. It reads only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from controller.core.decided import Decided, decided, of_service
from controller.core.events import Event
from controller.core.model import State
from controller.core.step import step
from controller.journal import (
    AS_WRITTEN,
    NAME,
    Damaged,
    EventLine,
    Line,
    SnapshotLine,
    file_number,
    files,
    numbered,
)

Seen = Callable[[int], None]
"""Told how many bytes were read since it was last told."""


class NoJournal(Exception):
    """There is no journal, or no such service in it, where one was named."""

    def __init__(self, where: str, problem: str, mend: str) -> None:
        self.where, self.problem, self.mend = where, problem, mend
        super().__init__(f"{where}: {problem}; {mend}")


class Difference(Struct, frozen=True):
    """Where the rules decide otherwise than was recorded."""

    file: str
    line: int
    at_ms: int
    """Wall time, as the file's snapshot gives it."""
    now_ms: int
    """The clock of the rules."""
    event: Event
    recorded: Decided
    now: Decided
    error: str = ""
    """What the rules could not do with the event, if that is the difference."""


class Damage(Struct, frozen=True):
    """Where a file is not as the controller wrote it."""

    file: str
    line: int
    problem: str
    mend: str


class Gap(Struct, frozen=True):
    """Files that are missing between others, from the first to the last; or lines that are
    missing after the end of the first, which the snapshot of the last counts."""

    first: str
    last: str
    lines: int = 0
    """How many; 0 where whole files are missing, for nobody knows how many they held."""


class Replayed(Struct, frozen=True):
    """What came of it."""

    files: int
    versions: tuple[str, ...]
    """Who wrote them."""
    events: int
    compared: int
    changes: int
    """How many changes of a record were decided, the same as recorded."""
    too_old: tuple[str, ...]
    """Files with events of which no decision was recorded."""
    torn: tuple[str, ...] = ()
    """Files whose last line is torn, and was left out."""
    missing: tuple[Gap, ...] = ()
    difference: Difference | None = None
    damage: Damage | None = None
    """What ended the replay before its time, if that was no difference."""

    @property
    def identical(self) -> bool:
        """Whether there were decisions, all were recorded, and all came out the same."""
        whole = not self.too_old and not self.missing and self.damage is None
        return whole and self.difference is None and self.events > 0


def journal_files(place: Path) -> list[Path]:
    """The files of a journal: the one that is named, or all of a directory. Raises NoJournal."""
    if place.is_file():
        return [place]
    mend = "name the directory of journal.directory, or a file in it"
    if not place.exists():
        raise NoJournal(str(place), "there is no such file or directory", mend)
    if not place.is_dir():
        raise NoJournal(str(place), "is neither a file nor a directory", mend)
    found = files(place)
    if not found:
        raise NoJournal(str(place), f"no file in it is named like {NAME.format(1)}", mend)
    return found


def replay(
    paths: list[Path],
    until_ms: int | None = None,
    seen: Seen = lambda _size: None,
    service: str = "",
) -> Replayed:
    """Replay until the first difference or damage, or this wall time; of one service alone if it
    is named.

    Raises JournalUnreadable where a file cannot be read at all, NoJournal.
    """
    wish, tally = _Wish(until_ms, service), _Tally()
    for number, path in enumerate(paths):
        if _missing(paths[max(0, number - 1) : number + 1]):
            tally.before = None
        try:
            _replay_file(path, tally, wish, seen)
        except Damaged as error:
            tally.damage = Damage(str(error.path), error.line, error.problem, error.mend)
        if tally.difference is not None or tally.damage is not None:
            return _told(tally, paths)
    if tally.files == 0:
        raise NoJournal(
            ", ".join(map(str, paths[:3])),
            "there is nothing to replay: no whole line of a journal",
            "give a file of journal.directory, as the controller wrote it",
        )
    if service and service not in tally.known:
        known = ", ".join(sorted(tally.known))
        problem = f"there is no service {service!r} in the journal"
        raise NoJournal("--service", problem, f"it knows: {known}")
    return _told(tally, paths)


class _Whole(NamedTuple):
    """A file that was read to its end, how many whole lines it has, and what it counts."""

    path: Path
    life: int
    given: int
    lines: int

    def lost_until(self, life: int, given: int) -> int:
        """How many lines are missing between its end and a snapshot that counts so many."""
        if given < 0 or self.given < 0:
            return 0
        # What a life that ended had still to write, nobody counted.
        return given - self.given - self.lines if life == self.life else given


@dataclass
class _Tally:
    """What was counted so far."""

    files: int = 0
    versions: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    events: int = 0
    compared: int = 0
    changes: int = 0
    too_old: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    ends: list[Gap] = field(default_factory=list)
    before: _Whole | None = None
    difference: Difference | None = None
    damage: Damage | None = None


def _told(tally: _Tally, paths: list[Path]) -> Replayed:
    return Replayed(
        files=tally.files,
        versions=tuple(dict.fromkeys(tally.versions)),
        events=tally.events,
        compared=tally.compared,
        changes=tally.changes,
        too_old=tuple(tally.too_old),
        torn=tuple(tally.torn),
        missing=(*_missing(paths), *tally.ends),
        difference=tally.difference,
        damage=tally.damage,
    )


def _missing(paths: list[Path]) -> tuple[Gap, ...]:
    """Which files of a journal are missing between those; the oldest are not kept for ever."""
    gaps = []
    for before, after in pairwise(paths):
        first, last = file_number(before) + 1, file_number(after) - 1
        if first <= last:
            first_name, last_name = (NAME.format(number) for number in (first, last))
            gaps.append(Gap(str(after.with_name(first_name)), str(after.with_name(last_name))))
    return tuple(gaps)


@dataclass(frozen=True)
class _Wish:
    """What shall be compared."""

    until_ms: int | None
    service: str

    def part(self, state: State, what: Decided) -> Decided:
        """That part of a decision."""
        if not self.service:
            return what
        named = [s for s in state.services.values() if s.spec.name == self.service]
        return of_service(what, self.service, named[0].spec.uid if named else "")


def _replay_file(path: Path, tally: _Tally, wish: _Wish, seen: Seen) -> None:
    lines = numbered(path)
    snapshot = _snapshot(path, lines, seen)
    if snapshot is None:
        return
    state, ahead_ms = snapshot.state, snapshot.at_ms - snapshot.now_ms
    tally.files += 1
    tally.versions.append(snapshot.version)
    tally.known.update(service.spec.name for service in state.services.values())
    _count_lost(tally, path, snapshot)
    tally.before, whole = None, 1
    for number, size_bytes, line in lines:
        seen(size_bytes)
        if line is None:
            tally.torn.append(str(path))
            break
        whole = number
        if isinstance(line, SnapshotLine):
            raise Damaged(path, number, "a second snapshot in one file", AS_WRITTEN)
        at_ms = line.now_ms + ahead_ms
        if wish.until_ms is not None and at_ms > wish.until_ms:
            return
        tally.events += 1
        after, all_now, error = _decide(state, line)
        recorded = None if line.decided is None else wish.part(state, line.decided)
        now = wish.part(state, all_now)
        if error or (recorded is not None and now != recorded):
            tally.difference = Difference(
                str(path), number, at_ms, line.now_ms, line.event, recorded or Decided(), now, error
            )
            return
        state = after
        if recorded is not None:
            tally.compared += 1
            tally.changes += len(now.changes)
        elif str(path) not in tally.too_old[-1:]:
            tally.too_old.append(str(path))
    tally.before = _Whole(path, snapshot.life, snapshot.given, whole)


def _count_lost(tally: _Tally, path: Path, snapshot: SnapshotLine) -> None:
    """Note how many lines are missing since the end of the file before, as its count has it."""
    before = tally.before
    lost = 0 if before is None else before.lost_until(snapshot.life, snapshot.given)
    if before is not None and lost > 0:
        tally.ends.append(Gap(str(before.path), str(path), lost))


def _snapshot(
    path: Path, lines: Iterator[tuple[int, int, Line | None]], seen: Seen
) -> SnapshotLine | None:
    """The file's first line; None where a crash left nothing of it."""
    number, size_bytes, line = next(lines, (0, 0, None))
    seen(size_bytes)
    if line is None:
        return None
    if isinstance(line, EventLine):
        raise Damaged(
            path,
            number,
            "the file begins in the middle, with an event and no snapshot: what was true before "
            "is not known",
            "give the whole file as the controller wrote it",
        )
    return line


def _decide(state: State, line: EventLine) -> tuple[State, Decided, str]:
    """What the rules decide now; their error is an answer, too."""
    try:
        after, actions = step(state, line.event, line.now_ms)
    except Exception as error:  # noqa: BLE001 - whatever the rules raise is what differs
        return state, Decided(), f"{type(error).__name__}: {error}"
    return after, decided(actions), ""
