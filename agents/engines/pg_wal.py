"""Positions in PostgreSQL's log, and what can be read from its files while it is stopped.

A position (LSN) is a byte count. The log is cut into segments of 16 MiB or as chosen at
initdb, these into pages of 8 KiB. Sources: access/xlog_internal.h, access/xlogrecord.h and
access/timeline.c of PostgreSQL 15 to 18.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

PAGE_BYTES = 8192
SHORT_HEADER_BYTES, LONG_HEADER_BYTES = 24, 40
RECORD_HEADER_BYTES, CRC_AT_BYTES = 24, 20
RECORD_AT_MOST_BYTES = 1020 * 1024 * 1024
CHECKED_AT_MOST_BYTES = 256 * 1024
"""A longer record is not read whole: its checksum would take seconds."""
CONTINUED = 1
"""The page begins with the rest of a record."""
CASTAGNOLI = 0x82F63B78
"""The polynomial of CRC-32C, its bits reversed."""
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_PAGE_HEADER = struct.Struct("<HHIQ")
_LEFT = struct.Struct("<I")


class Fork(Struct, frozen=True):
    """A timeline ended at `end_bytes`, where the next one began."""

    timeline: int
    end_bytes: int


class Segment(Struct, frozen=True):
    """One file of the log, which begins at `begin_bytes`."""

    path: Path
    timeline: int
    begin_bytes: int


def parse_lsn(text: str) -> int:
    """'16/B374D848' as bytes. ValueError when it is no position."""
    high, low = text.strip().split("/")
    return (int(high, 16) << 32) + int(low, 16)


def format_lsn(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def segment_name(timeline: int, position: int, segment_bytes: int) -> str:
    """The name of the file that holds the position."""
    per_id = 0x100000000 // segment_bytes
    number = position // segment_bytes
    return f"{timeline:08X}{number // per_id:08X}{number % per_id:08X}"


def segment_file(data: Path, timeline: int, position: int, segment_bytes: int) -> Path:
    """The file that holds the position."""
    return data / "pg_wal" / segment_name(timeline, position, segment_bytes)


def segments(data: Path, segment_bytes: int) -> list[Segment]:
    """What stands in the log, oldest first; files that wait to be used again are left out."""
    per_id = 0x100000000 // segment_bytes
    found = []
    for path in (data / "pg_wal").iterdir():
        name = path.name.removesuffix(".partial")
        if not _SEGMENT.fullmatch(name):
            continue
        timeline, high, low = (int(name[at : at + 8], 16) for at in (0, 8, 16))
        begin = (high * per_id + low) * segment_bytes
        if _begins_at(path, begin):
            found.append(Segment(path, timeline, begin))
    return sorted(found, key=lambda segment: (segment.begin_bytes, segment.timeline))


def _begins_at(path: Path, position: int) -> bool:
    with path.open("rb") as file:
        head = file.read(_PAGE_HEADER.size)
    return len(head) == _PAGE_HEADER.size and _PAGE_HEADER.unpack(head)[3] == position


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


def record_stands(files: Iterable[Path], position: int, segment_bytes: int) -> bool:
    """Whether a whole record begins at the position, or behind the page's header there.

    `files`: the segment of the position, under each timeline that may have written it. A page
    is written anew when its segment is used again: what stands in a page that says so, and whose
    checksum fits, is no remnant. PostgreSQL's own recovery stops by the same signs. Of a long
    record the last page is looked at instead, which was written last.
    """
    return any(_stands_in(file, position, segment_bytes) for file in files)


def _stands_in(file: Path, position: int, segment_bytes: int) -> bool:
    timeline = int(file.name[:8], 16)
    data = file.parent.parent
    if position % PAGE_BYTES == 0:
        position += SHORT_HEADER_BYTES if position % segment_bytes else LONG_HEADER_BYTES
    try:
        head = _read(data, timeline, position, 8, segment_bytes)
        length = int.from_bytes(head[:4], "little")
        if not RECORD_HEADER_BYTES <= length <= RECORD_AT_MOST_BYTES:
            return False
        if length > CHECKED_AT_MOST_BYTES:
            return _ends_in_its_last_page(data, timeline, position, length, segment_bytes)
        record = _read(data, timeline, position, length, segment_bytes)
    except (OSError, ValueError):
        return False
    checked = record[RECORD_HEADER_BYTES:] + record[:CRC_AT_BYTES]
    return _crc32c(checked) == int.from_bytes(record[CRC_AT_BYTES:RECORD_HEADER_BYTES], "little")


def _read(data: Path, timeline: int, position: int, length: int, segment_bytes: int) -> bytes:
    """Bytes of the log without the headers of pages. ValueError where a page stands elsewhere."""
    found, left = [], length
    while left:
        if position % PAGE_BYTES == 0:
            position += SHORT_HEADER_BYTES if position % segment_bytes else LONG_HEADER_BYTES
        page = position - position % PAGE_BYTES
        if not _page_is_written(data, timeline, page, segment_bytes):
            raise ValueError(f"{format_lsn(page)}: nothing is written there")
        wanted = min(left, page + PAGE_BYTES - position)
        with segment_file(data, timeline, position, segment_bytes).open("rb") as file:
            file.seek(position % segment_bytes)
            found.append(file.read(wanted))
        position += wanted
        left -= wanted
    return b"".join(found)


def _ends_in_its_last_page(
    data: Path, timeline: int, position: int, length: int, segment_bytes: int
) -> bool:
    """Whether the page in which a record of several pages ends says that it goes on there."""
    end = record_end(data, timeline, position, segment_bytes)
    page = (end - 1) // PAGE_BYTES * PAGE_BYTES
    begin = page + (SHORT_HEADER_BYTES if page % segment_bytes else LONG_HEADER_BYTES)
    left = end - begin - (-length % 8)
    if not _page_is_written(data, timeline, page, segment_bytes):
        return False
    with segment_file(data, timeline, page, segment_bytes).open("rb") as file:
        file.seek(page % segment_bytes)
        head = file.read(SHORT_HEADER_BYTES)
    _, info, _, _ = _PAGE_HEADER.unpack_from(head)
    return bool(info & CONTINUED) and _LEFT.unpack_from(head, _PAGE_HEADER.size)[0] == left


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (CASTAGNOLI if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_CRC_TABLE = _crc_table()


def _crc32c(content: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF
