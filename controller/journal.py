"""The journal: what the rules were told and decided, so that it can be decided again.

Each file begins with a snapshot of the whole state and goes on with every event that
changed it, a JSON object a line:

    {"kind": "snapshot", "at_ms": ..., "now_ms": ..., "version": ..., "state": {...},
     "life": ..., "given": 1041}
    {"kind": "event", "now_ms": ..., "event": {...}, "decided": {"changes": [], "actions": []},
     "number": 2}

`number` is the line's own place in its file, so that a line that is missing, doubled or elsewhere
shows. `given` counts all lines that this `life` of the controller had to write before, in earlier
files, also those that no disk took: so an end that is missing shows at the next file of that life.
What was decided is left out where it was nothing; the first journals had no `decided` at all, and
later ones neither `number` nor `given`.
A thread of its own writes, so that a slow disk holds nobody up. What it cannot write is
counted; the next file then begins with a snapshot again, so that every file can be
replayed by itself. The last line of a file may be torn by a crash.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec
import structlog

from controller.core.actions import Action
from controller.core.decided import Decided, decided
from controller.core.events import Event
from controller.core.model import State
from controller.version import installed_version

QUEUE_AT_MOST = 4096
TRY_AGAIN_S = 5.0
CLOSE_TIMEOUT_S = 3.0
NAME = "journal-{:08d}.jsonl"
PATTERN = "journal-" + "[0-9]" * 8 + ".jsonl"
AS_WRITTEN = "the file is damaged there: give it as the controller wrote it"

log = structlog.get_logger("journal")


class SnapshotLine(msgspec.Struct, frozen=True, tag_field="kind", tag="snapshot"):
    """The whole state at one moment, on the clock of the rules."""

    at_ms: int
    """Wall time, milliseconds since 1970, to find the place."""
    now_ms: int
    version: str
    state: State
    life: int = 0
    """Wall time at which the journal of this life of the controller began, to tell lives apart."""
    given: int = -1
    """How many lines this life had given before, snapshots and lines that were lost included; -1
    in a journal older than this field."""


class EventLine(msgspec.Struct, frozen=True, tag_field="kind", tag="event"):
    """One event that changed the state, and what was decided on it."""

    now_ms: int
    event: Event
    decided: Decided | None = None
    """None in a journal that is older than this field."""
    number: int = 0
    """Which line of its file it was written as, from 2; 0 in a journal older than this field."""


Line = SnapshotLine | EventLine


class JournalUnreadable(Exception):
    """A file cannot be read, or is not as the controller wrote it."""


class Damaged(JournalUnreadable):
    """A line is none of a journal, or does not stand where it was written."""

    def __init__(self, path: Path, line: int, problem: str, mend: str) -> None:
        self.path, self.line, self.problem, self.mend = path, line, problem, mend
        super().__init__(f"{path}:{line}: {problem}; {mend}")


class _Piece(NamedTuple):
    """One line to write; a snapshot begins a new file."""

    raw: bytes
    begins: bool


class Journal:
    """Written by the one consumer of events; never raises for the disk's sake."""

    def __init__(self, directory: Path, max_size_bytes: int, keep: int, version: str) -> None:
        self._directory = directory
        self._max_size_bytes = max_size_bytes
        self._keep = keep
        self._version = version
        self._pieces: queue.Queue[_Piece | None] = queue.Queue(QUEUE_AT_MOST)
        self._size_bytes = 0
        self._lines = 0
        """How many the present file was given."""
        self._life = time.time_ns() // 1_000_000
        self._given = 0
        """How many lines this life was to write, written or not."""
        self._whole = False
        """Whether the present file holds everything since its snapshot."""
        self._tried_s = -TRY_AGAIN_S
        self._file: BinaryIO | None = None
        self.errors = 0
        """Lines that were not written."""
        self.problem = ""
        """Why, the last time; empty while all is well."""
        self._thread = threading.Thread(target=self._write_all, name="journal", daemon=True)
        self._thread.start()

    def begin(self, state: State, now_ms: int) -> None:
        """Begin a file with a snapshot."""
        self._tried_s = time.monotonic()
        at_ms = time.time_ns() // 1_000_000
        line = SnapshotLine(at_ms, now_ms, self._version, state, self._life, self._given)
        self._given += 1
        raw = msgspec.json.encode(line) + b"\n"
        self._size_bytes = len(raw)
        self._lines = 1
        self._whole = True
        self._put(_Piece(raw, begins=True))

    def note(self, event: Event, now_ms: int, state: State, actions: Iterable[Action]) -> None:
        """Write an event, after which the state is `state`, and the actions that it gave."""
        if self._whole:
            self._lines += 1
            self._given += 1
            line = EventLine(now_ms, event, decided(actions), self._lines)
            raw = msgspec.json.encode(line) + b"\n"
            self._size_bytes += len(raw)
            self._put(_Piece(raw, begins=False))
            if self._size_bytes >= self._max_size_bytes:
                self.begin(state, now_ms)
        elif time.monotonic() - self._tried_s >= TRY_AGAIN_S:
            self.begin(state, now_ms)
        else:
            self._given += 1
            self.errors += 1

    def close(self) -> None:
        """Write what is left, within a bounded time."""
        try:
            self._pieces.put(None, timeout=CLOSE_TIMEOUT_S)
        except queue.Full:
            return
        self._thread.join(CLOSE_TIMEOUT_S)

    def _put(self, piece: _Piece) -> None:
        try:
            self._pieces.put_nowait(piece)
        except queue.Full:
            self._failed(f"{self._directory}: the disk is too slow, {QUEUE_AT_MOST} lines wait")

    def _write_all(self) -> None:
        while (piece := self._pieces.get()) is not None:
            try:
                self._write(piece)
            except OSError as error:
                self._failed(f"{self._directory}: {error.strerror or error}")
                self._close_file()
        self._close_file()

    def _write(self, piece: _Piece) -> None:
        if piece.begins:
            self._open_next()
        if self._file is None:
            # The snapshot before it was not written: alone this line means nothing.
            self.errors += 1
            return
        if self._file.write(piece.raw) != len(piece.raw):
            raise OSError("the disk took only a part of a line: it is full")
        if piece.begins:
            self.problem = ""

    def _open_next(self) -> None:
        self._close_file()
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        there = files(self._directory)
        number = file_number(there[-1]) + 1 if there else 1
        for old in there[: max(0, len(there) - self._keep + 1)]:
            old.unlink(missing_ok=True)
        path = self._directory / NAME.format(number)
        path.touch(mode=0o600, exist_ok=False)
        self._file = path.open("ab", buffering=0)

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _failed(self, problem: str) -> None:
        self._whole = False
        self.errors += 1
        if problem != self.problem:
            log.error(
                "the journal is not written",
                problem=problem,
                mend="see to the disk of journal.directory; it goes on by itself",
            )
        self.problem = problem


def files(directory: Path) -> list[Path]:
    """The files of a journal, the oldest first."""
    return sorted(directory.glob(PATTERN))


def file_number(path: Path) -> int:
    """The place of a file in its journal, from 1."""
    return int(path.stem.removeprefix("journal-"))


def numbered(path: Path) -> Iterator[tuple[int, int, Line | None]]:
    """The lines of one file, each with its number and its size; None for a last line that a
    crash, or a controller that writes on, left torn. Raises JournalUnreadable.
    """
    decoder = msgspec.json.Decoder(Line)
    version, counted = "", False
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                try:
                    line = decoder.decode(raw)
                except (msgspec.DecodeError, ValueError) as error:
                    if not raw.endswith(b"\n"):
                        yield number, len(raw), None
                        return
                    known = isinstance(error, msgspec.ValidationError)
                    mend = _mend(version or _origin(raw), known)
                    raise Damaged(path, number, f"no line of a journal: {error}", mend) from None
                if isinstance(line, SnapshotLine):
                    version = line.version
                else:
                    counted = counted or line.number > 0
                    if counted and number > 1 and line.number != number:
                        raise Damaged(path, number, *_out_of_place(line.number, number))
                yield number, len(raw), line
    except OSError as error:
        raise JournalUnreadable(f"{path}: {error.strerror or error}") from None


class _Origin(msgspec.Struct):
    version: str


def _origin(raw: bytes) -> str:
    """Which version wrote a snapshot that cannot be read; empty where it is none."""
    try:
        return msgspec.json.decode(raw, type=_Origin).version
    except (msgspec.DecodeError, ValueError):
        return ""


def _mend(version: str, is_json: bool) -> str:
    """What helps. Only what is JSON can be a line of another version."""
    own = installed_version()
    if not version:
        return "give a file of journal.directory, as the controller wrote it"
    if is_json and version != own:
        return (
            f"version {version[:40]} wrote the file, and this is version {own}: replay it with "
            "that one; if it cannot read it either, the file is damaged there"
        )
    return AS_WRITTEN


def _out_of_place(written: int, found: int) -> tuple[str, str]:
    """What a line that was written as another says, and what helps."""
    if written > found:
        return (
            f"lines are missing before line {found}: it was written as line {written}",
            AS_WRITTEN,
        )
    if written == 0:
        return f"line {found} has no number, and those before it have one", AS_WRITTEN
    return f"line {found} was written as line {written}, which stands before it", AS_WRITTEN
