"""Replays a journal: the recorded events go through the rules again, and their decisions are
compared with the recorded ones.

Each file begins with a snapshot and is replayed by itself. It reads only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

from controller.core.decided import Decided, decided
from controller.core.events import Event
from controller.core.model import State
from controller.core.step import step
from controller.journal import (
    PATTERN,
    EventLine,
    JournalUnreadable,
    SnapshotLine,
    files,
    numbered,
)

Seen = Callable[[int], None]
"""Told how many bytes were read since it was last told."""


class NoJournal(Exception):
    """There is no journal where one was named, or not of what was named."""


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
        raise NoJournal(f"{place}: no file in it is named like {PATTERN}; give journal.directory")
    return found


def replay(
    paths: list[Path],
    until_ms: int | None = None,
    seen: Seen = lambda _size: None,
    service: str = "",
) -> Replayed:
    """Replay until the first difference, or this wall time; compare all, or one service.

    Raises JournalUnreadable, and NoJournal where it holds nothing, or nothing of that service.
    """
    told, names = Replayed(0, (), 0, 0, 0, ()), set[str]()
    for path in paths:
        told = _replay_file(path, told, until_ms, seen, service, names)
        if told.difference is not None:
            return told
    if not told.files:
        raise NoJournal(f"{paths[0]}: holds nothing: it is empty, or a crash left half a line")
    if service and service not in names:
        known = ", ".join(sorted(names)) or "none"
        raise NoJournal(f"there is no service {service[:80]!a} in it; the services are: {known}")
    return told


def _replay_file(
    path: Path, told: Replayed, until_ms: int | None, seen: Seen, service: str, names: set[str]
) -> Replayed:
    lines = numbered(path)
    snapshot = _snapshot(path, lines, seen)
    if snapshot is None:
        return told
    state, ahead_ms = snapshot.state, snapshot.at_ms - snapshot.now_ms
    names.update(one.spec.name for one in state.services.values())
    events, compared, changes, old = told.events, told.compared, told.changes, False
    difference = None
    for number, size_bytes, line in lines:
        seen(size_bytes)
        if isinstance(line, SnapshotLine):
            raise JournalUnreadable(f"{path}:{number}: a second snapshot in one file")
        at_ms = line.now_ms + ahead_ms
        if until_ms is not None and at_ms > until_ms:
            break
        events += 1
        after, now, error = _decide(state, line)
        recorded = line.decided
        if service:
            now, recorded = now.of(service), recorded and recorded.of(service)
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
