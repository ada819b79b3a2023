"""What the lab's writer and probers write down, one JSON line each, and how it is read again.

Times are milliseconds of the boot-time clock, so that all processes of one machine compare. A
moment is known only as lying between `start_ms` and `end_ms` of what was tried.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

import msgspec


class Outcome(StrEnum):
    """How one insert ended, as its client knows it."""

    ACKED = "acked"
    FAILED = "failed"
    """The server said that it did not do it."""
    UNKNOWN = "unknown"
    """No answer, or one that does not say: it may have been done."""


class Insert(msgspec.Struct, frozen=True, tag="insert", omit_defaults=True):
    """The writer tried to commit the row `n`. No n is ever tried twice."""

    n: int
    site: str
    address: str
    start_ms: float
    end_ms: float
    outcome: Outcome
    reason: str = ""


class Connect(msgspec.Struct, frozen=True, tag="connect", omit_defaults=True):
    """The writer tried to find a writable engine at one address; `reason` says why it is none."""

    site: str
    address: str
    start_ms: float
    end_ms: float
    found: bool
    reason: str = ""


class Answer(StrEnum):
    """What a prober learned about one engine."""

    COMMITTED = "committed"
    STANDBY = "standby"
    FAILED = "failed"
    """It answered, and refused the commit."""
    DOWN = "down"
    """It takes no connection."""
    UNKNOWN = "unknown"
    """No answer in time, or the connection was lost in the middle: it may be writable."""


class Probe(msgspec.Struct, frozen=True, tag="probe", omit_defaults=True):
    """A prober tried to commit the row `n` at the engine of one service in its own site."""

    service: str
    site: str
    n: int
    start_ms: float
    end_ms: float
    answer: Answer
    reason: str = ""
    sent: bool = False
    """Whether the commit was asked for: without an answer it may have been done, else not."""


class Log:
    """A file of JSON lines; each is with the kernel before `write` returns."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, line: msgspec.Struct) -> None:
        self._file.write(msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        self._file.close()


def now_ms() -> float:
    """The boot-time clock, which goes on while the machine sleeps."""
    return round(time.clock_gettime_ns(time.CLOCK_BOOTTIME) / 1e6, 3)


def read_writer_log(path: Path) -> list[Insert | Connect]:
    """All lines of a writer's log, oldest first. A missing file is an empty log."""
    decoder = msgspec.json.Decoder(Insert | Connect)
    return [decoder.decode(line) for line in _whole_lines(path)]


def read_inserts(path: Path) -> list[Insert]:
    """The inserts of a writer's log alone."""
    return [line for line in read_writer_log(path) if isinstance(line, Insert)]


def read_probes(path: Path) -> list[Probe]:
    """All lines of a prober's log, oldest first. A missing file is an empty log."""
    decoder = msgspec.json.Decoder(Probe)
    return [decoder.decode(line) for line in _whole_lines(path)]


class InsertTail:
    """The inserts of a writer's log that grows, from a moment on; each line is read once."""

    def __init__(self, path: Path, since_ms: float) -> None:
        self._path = path
        self._since_ms = since_ms
        self._read_bytes = 0
        self._inserts: list[Insert] = []

    def inserts(self) -> list[Insert]:
        """All that stand there by now; half a line waits for the next time."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read_bytes)
                whole, end, _ = file.read().rpartition(b"\n")
            self._read_bytes += len(whole) + len(end)
            decoder = msgspec.json.Decoder(Insert | Connect)
            lines = (decoder.decode(line) for line in whole.splitlines())
            inserts = (line for line in lines if isinstance(line, Insert))
            self._inserts += [one for one in inserts if one.start_ms >= self._since_ms]
        return self._inserts


def next_n(used: Iterable[int]) -> int:
    """The first number, from 1, that certainly was not used.

    A process that was killed may have used one more than it wrote down.
    """
    return max(used, default=-1) + 2


def _whole_lines(path: Path) -> list[bytes]:
    """A process that was killed may leave half a line, and that can only be the last one."""
    if not path.exists():
        return []
    return path.read_bytes().split(b"\n")[:-1]
