"""The rest of a fenced primary's log: read from its files there, written into the standby's here.

The engine that wrote it is dead, or replays it as a standby: either way its log grows no more.
What is copied are pages as they stand, from the page in which the standby's log ends; the
standby's own recovery checks every record and reads on, and its promotion begins only after
the last one. The other side's last page may hold more than was acknowledged, never less.

What was written and not flushed may be gone after a loss of power: it is flushed before it is
given, so that the standby never has what its old primary can lose.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

from agents.engines.base import EngineBusy, EngineError, LogPoint
from agents.engines.pg_directory import sync
from agents.engines.pg_wal import (
    PAGE_BYTES,
    format_lsn,
    segment_file,
    timeline_at,
    written_end,
)

CHUNK_BYTES = 256 * 1024
PART = "xlogtemp.saling"
"""PostgreSQL removes what begins with xlogtemp when it starts."""


def end_of_standby(
    data: Path, system_identifier: str, received_bytes: int, segment_bytes: int
) -> LogPoint:
    """From where this standby needs its upstream's log. EngineError when its own is not there."""
    begin = received_bytes // PAGE_BYTES * PAGE_BYTES
    # At the very end of a segment the next one may not be there yet.
    timeline = timeline_at(data, max(0, received_bytes - 1), segment_bytes)
    if timeline == 0:
        raise EngineError(
            f"{data}/pg_wal: no segment holds {format_lsn(received_bytes)}, where this copy ends;"
            " it must be made anew"
        )
    return LogPoint(system_identifier, timeline, begin, received_bytes)


def end_of_log(data: Path, system_identifier: str, point: LogPoint, segment_bytes: int) -> int:
    """Where this copy's log ends. EngineError when the point is not on it."""
    if point.system_identifier != system_identifier:
        raise EngineError(
            f"{data}: is of system {system_identifier}, asked is {point.system_identifier}"
        )
    last = timeline_at(data, max(0, point.received_bytes - 1), segment_bytes)
    if last != point.timeline:
        raise EngineError(
            f"{data}: {format_lsn(point.received_bytes)} is on timeline {last}, the standby's on"
            f" {point.timeline}: it did not follow this primary to its last reign"
        )
    try:
        return written_end(data, point.timeline, point.begin_bytes, segment_bytes)
    except FileNotFoundError:
        return point.begin_bytes


async def read_log(
    data: Path, point: LogPoint, end_bytes: int, segment_bytes: int
) -> AsyncIterator[bytes]:
    """The log from the point's begin up to the end, each segment flushed before it is given.

    OSError when a segment is missing or cannot be flushed.
    """
    position, flushed = point.begin_bytes, None
    await asyncio.to_thread(sync, data / "pg_wal")
    while position < end_bytes:
        within = segment_bytes - position % segment_bytes
        size = min(CHUNK_BYTES, within, end_bytes - position)
        path = segment_file(data, point.timeline, position, segment_bytes)
        if path != flushed:
            await asyncio.to_thread(sync, path)
            flushed = path
        yield await asyncio.to_thread(_read_at, path, position % segment_bytes, size)
        position += size


async def write_log(
    data: Path, point: LogPoint, chunks: AsyncIterator[bytes], segment_bytes: int
) -> int:
    """Write what comes into the standby's log, flushed; returns where it ends.

    EngineError when it does not continue what is here. What came before a break stays: it is
    a part of the same log.
    """
    log = _Log(data, point, segment_bytes)
    try:
        async for chunk in chunks:
            await asyncio.to_thread(log.take, chunk)
    finally:
        await asyncio.to_thread(log.flush)
    if log.position < point.received_bytes:
        raise EngineBusy(f"the log broke off at {format_lsn(log.position)}")
    return log.position


class _Log:
    """The standby's log from its last page on. A chunk may end anywhere."""

    def __init__(self, data: Path, point: LogPoint, segment_bytes: int) -> None:
        self._data = data
        self._point = point
        self._segment_bytes = segment_bytes
        self._known = point.received_bytes - point.begin_bytes
        self._touched: set[Path] = set()
        self.position = point.begin_bytes

    def take(self, chunk: bytes) -> None:
        """Compare what stands here already, then write the rest behind it."""
        while chunk:
            within = self._segment_bytes - self.position % self._segment_bytes
            part, chunk = chunk[:within], chunk[within:]
            self._put(part)
            self.position += len(part)

    def _put(self, part: bytes) -> None:
        path = segment_file(self._data, self._point.timeline, self.position, self._segment_bytes)
        offset = self.position % self._segment_bytes
        known = min(self._known, len(part))
        if known and _read_at(path, offset, known) != part[:known]:
            raise EngineError(
                f"{path}: differs from the upstream's before {format_lsn(self.position + known)},"
                " which this standby had received: it must be made anew"
            )
        self._known -= known
        if known == len(part):
            return
        if not path.exists():
            self._create(path)
        _write_at(path, offset + known, part[known:])
        self._touched.add(path)

    def _create(self, path: Path) -> None:
        """A segment has its full size from the start; only its owner may read it."""
        fresh = path.with_name(PART)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._segment_bytes)
        finally:
            os.close(descriptor)
        fresh.replace(path)

    def flush(self) -> None:
        """All of it is on disk when this returns."""
        for path in sorted(self._touched):
            sync(path)
        if self._touched:
            sync(self._data / "pg_wal")
        self._touched.clear()


def _read_at(path: Path, offset: int, size: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        found = os.pread(descriptor, size, offset)
    finally:
        os.close(descriptor)
    if len(found) < size:
        raise EngineError(f"{path}: {size} bytes at {offset} are wanted, {len(found)} are there")
    return found


def _write_at(path: Path, offset: int, part: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        view = memoryview(part)
        while view:
            written = os.pwrite(descriptor, view, offset)
            offset, view = offset + written, view[written:]
    finally:
        os.close(descriptor)
