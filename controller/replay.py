"""Replays a journal: the recorded events go through the rules again, and their decisions are
compared with the recorded ones.

Each file begins with a snapshot and is replayed by itself. It reads only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct

from controller.core.decided import Decided, decided, of_service
from controller.core.events import Event
from controller.core.model import State
from controller.core.step import step
from controller.journal import (
    PATTERN,
    EventLine,
    JournalUnreadable,
    SnapshotLine,
    files,
    is_torn,
    numbered,
)

Seen = Callable[[int], None]
"""Told how many bytes were read since it was last told."""


class NoJournal(Exception):
    """There is no journal, or no such service in it, where one was named."""


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
    difference: Difference | None = None

    @property
    def identical(self) -> bool:
        """Whether there were decisions, all were recorded, and all came out the same."""
        return self.difference is None and not self.too_old and self.events > 0


def journal_files(place: Path) -> list[Path]:
    """The files of a journal: the one that is named, or all of a directory. Raises NoJournal."""
    if place.is_file():
        return [place]
    if not place.exists():
        raise NoJournal(f"{place}: there is no such file or directory")
    if not place.is_dir():
        raise NoJournal(f"{place}: is neither a file nor a directory")
    found = files(place)
    if not found:
        raise NoJournal(f"{place}: no file in it is named like {PATTERN}")
    return found


def replay(
    paths: list[Path],
    until_ms: int | None = None,
    seen: Seen = lambda _size: None,
    service: str = "",
) -> Replayed:
    """Replay until the first difference, or this wall time; of one service alone if it is named.

    Raises JournalUnreadable, NoJournal.
    """
    wish, known = _Wish(until_ms, service), set[str]()
    told = Replayed(0, (), 0, 0, 0, ())
    for path in paths:
        told = _replay_file(path, told, wish, known, seen)
        if told.difference is not None:
            return told
    if told.files == 0:
        names = ", ".join(map(str, paths[:3]))
        raise NoJournal(f"{names}: there is nothing to replay: no whole line of a journal")
    if service and service not in known:
        raise NoJournal(
            f"there is no service {service!r} in the journal; it knows: {', '.join(sorted(known))}"
        )
    return told


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


def _replay_file(path: Path, told: Replayed, wish: _Wish, known: set[str], seen: Seen) -> Replayed:
    lines = numbered(path)
    snapshot = _snapshot(path, lines, seen)
    if snapshot is None:
        return told
    state, ahead_ms = snapshot.state, snapshot.at_ms - snapshot.now_ms
    known.update(service.spec.name for service in state.services.values())
    events, compared, changes, old = told.events, told.compared, told.changes, False
    difference = None
    for number, size_bytes, line in lines:
        seen(size_bytes)
        if isinstance(line, SnapshotLine):
            raise JournalUnreadable(f"{path}:{number}: a second snapshot in one file")
        at_ms = line.now_ms + ahead_ms
        if wish.until_ms is not None and at_ms > wish.until_ms:
            break
        events += 1
        after, all_now, error = _decide(state, line)
        recorded = None if line.decided is None else wish.part(state, line.decided)
        now = wish.part(state, all_now)
        if error or (recorded is not None and now != recorded):
            difference = Difference(
                str(path), number, at_ms, line.now_ms, line.event, recorded or Decided(), now, error
            )
            break
        state, old = after, old or recorded is None
        compared += recorded is not None
        changes += len(now.changes) if recorded is not None else 0
    return Replayed(
        told.files + 1,
        tuple(dict.fromkeys((*told.versions, snapshot.version))),
        events,
        compared,
        changes,
        (*told.too_old, str(path)) if old else told.too_old,
        (*told.torn, str(path)) if is_torn(path) else told.torn,
        difference,
    )


def _snapshot(
    path: Path, lines: Iterator[tuple[int, int, EventLine | SnapshotLine]], seen: Seen
) -> SnapshotLine | None:
    """The file's first line; None where a crash left nothing of it."""
    first = next(lines, None)
    if first is None:
        return None
    number, size_bytes, line = first
    seen(size_bytes)
    if isinstance(line, EventLine):
        raise JournalUnreadable(
            f"{path}:{number}: the file begins in the middle, with an event and no snapshot: what "
            "was true before is not known; give the whole file as the controller wrote it"
        )
    return line


def _decide(state: State, line: EventLine) -> tuple[State, Decided, str]:
    """What the rules decide now; their error is an answer, too."""
    try:
        after, actions = step(state, line.event, line.now_ms)
    except Exception as error:  # noqa: BLE001 - whatever the rules raise is what differs
        return state, Decided(), f"{type(error).__name__}: {error}"
    return after, decided(actions), ""
