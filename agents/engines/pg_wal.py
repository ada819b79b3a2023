"""Positions in PostgreSQL's log, and what can be read from its files while it is stopped.

A position (LSN) is a byte count. The log is cut into segments of 16 MiB or as chosen at
initdb, these into pages of 8 KiB. Sources: access/xlog_internal.h, access/xlogrecord.h and
access/timeline.c of PostgreSQL 15 to 18.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

from msgspec import Struct

PAGE_BYTES = 8192
SHORT_HEADER_BYTES, LONG_HEADER_BYTES = 24, 40
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_PAGE_HEADER = struct.Struct("<HHIQ")


class Fork(Struct, frozen=True):
    """A timeline ended at `end_bytes`, where the next one began."""

    timeline: int
    end_bytes: int


def parse_lsn(text: str) -> int:
    """'16/B374D848' as bytes. ValueError when it is no position."""
    high, low = text.strip().split("/")
    return (int(high, 16) << 32) + int(low, 16)


def format_lsn(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def segment_file(data: Path, timeline: int, position: int, segment_bytes: int) -> Path:
    """The file that holds the position."""
    per_id = 0x100000000 // segment_bytes
    number = position // segment_bytes
    return data / "pg_wal" / f"{timeline:08X}{number // per_id:08X}{number % per_id:08X}"


def record_end(data: Path, timeline: int, start: int, segment_bytes: int) -> int:
    """Where the record that begins at `start` ends: what a standby that has it reports.

    OSError or ValueError when the segment is not there or too short.
    """
    with segment_file(data, timeline, start, segment_bytes).open("rb") as file:
        file.seek(start % segment_bytes)
        head = file.read(4)
    if len(head) < 4:
        raise ValueError(f"{format_lsn(start)}: its segment is too short")
    left = (int.from_bytes(head, "little") + 7) // 8 * 8
    position = start
    while left > (room := PAGE_BYTES - position % PAGE_BYTES):
        left -= room
        position += room
        position += SHORT_HEADER_BYTES if position % segment_bytes else LONG_HEADER_BYTES
    return position + left


def written_end(data: Path, timeline: int, start: int, segment_bytes: int) -> int:
    """The end of the last page written after `start`, to a page: how far recovery would read.

    Segments are recycled: a page counts only when its header says that it stands here.
    OSError when the segment of `start` is missing, for then nothing can be said.
    """
    segment_file(data, timeline, start, segment_bytes).stat()
    position = start - start % segment_bytes
    while _page_is_written(data, timeline, position, segment_bytes):
        position += segment_bytes
    if position <= start:
        return start
    low, high = position - segment_bytes, position
    while high - low > PAGE_BYTES:
        middle = (low + high) // 2 // PAGE_BYTES * PAGE_BYTES
        if _page_is_written(data, timeline, middle, segment_bytes):
            low = middle
        else:
            high = middle
    return max(start, high)


def _page_is_written(data: Path, timeline: int, position: int, segment_bytes: int) -> bool:
    try:
        with segment_file(data, timeline, position, segment_bytes).open("rb") as file:
            file.seek(position % segment_bytes)
            head = file.read(_PAGE_HEADER.size)
    except OSError:
        return False
    return len(head) == _PAGE_HEADER.size and _PAGE_HEADER.unpack(head)[3] == position


def last_timeline(data: Path) -> int:
    """The highest timeline of which log is there, 0 if none: a standby's control file lags."""
    names = (path.name for path in (data / "pg_wal").glob("*"))
    return max((int(name[:8], 16) for name in names if _SEGMENT.fullmatch(name)), default=0)


def timeline_at(data: Path, position: int, segment_bytes: int) -> int:
    """The highest timeline whose segment holds the position; 0 when none is there."""
    wanted = segment_file(data, 1, position, segment_bytes).name[8:]
    names = (path.name for path in (data / "pg_wal").glob(f"*{wanted}"))
    return max((int(name[:8], 16) for name in names if _SEGMENT.fullmatch(name)), default=0)


def parse_history(text: str) -> list[Fork]:
    """The content of a .history file: the timelines before it, oldest first."""
    forks = []
    for line in text.splitlines():
        fields = line.split("#")[0].split()
        if len(fields) >= 2:
            forks.append(Fork(int(fields[0]), parse_lsn(fields[1])))
    return forks


def own_history(data: Path, timeline: int) -> list[Fork]:
    """The timelines before one of this copy's. Raises OSError when its file is missing."""
    if timeline == 1:
        return []
    return parse_history((data / "pg_wal" / f"{timeline:08X}.history").read_text())
