"""The parts of an old primary's return that need no server."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from msgspec.structs import replace

from agents.engines.pg_lineage import OPEN_BYTES, Divergence, Span, divergence_of, lineage
from agents.engines.pg_pulse import done
from agents.engines.pg_quarantine import all_in, told
from agents.engines.pg_rejoin import Watched
from agents.engines.pg_report import Relation, Report, read_report, text_of, write_json
from agents.engines.pg_tools import LINE_AT_MOST_BYTES, Lines
from agents.engines.pg_wal import (
    Fork,
    _crc32c,
    record_end,
    record_stands,
    segment_file,
    segments,
)
from agents.engines.pg_waldump import Counter

SEGMENT = 1 << 20
REPORT = Report(
    service="orders",
    system_identifier="7",
    upstream="10.0.0.2:5432",
    old_timeline=1,
    new_timeline=2,
    fork="0/3000148",
    end="0/3000200",
    bytes=184,
    transactions=3,
    own_probes=1,
    first_commit="2026-11-24 07:00:00 UTC",
    last_commit="2026-11-24 07:00:05 UTC",
    relations=(Relation("1663/5/16384", "postgres: public.t"), Relation("1663/5/16399")),
    names_missing=("5: database postgres: made or rewritten after the fork",),
    files=("000000010000000000000003",),
    read_with=(("-t", "1", "-s", "0/3000148"),),
)


@pytest.mark.parametrize(
    ("own", "other", "fork"),
    [
        (([], 1), ([], 1), None),
        (([], 1), ([Fork(1, 500)], 2), 500),
        (([Fork(1, 500)], 2), ([Fork(1, 500)], 2), None),
        (([Fork(1, 500)], 2), ([Fork(1, 700)], 2), 500),
        (([Fork(1, 700)], 2), ([Fork(1, 500)], 3), 500),
        (([Fork(1, 500)], 2), ([Fork(1, 500), Fork(2, 900)], 3), 900),
        (([Fork(1, 500)], 2), ([], 1), 500),
    ],
)
def test_two_lineages_fork_where_they_stop_being_one(
    own: tuple[list[Fork], int], other: tuple[list[Fork], int], fork: int | None
) -> None:
    found = divergence_of(lineage(*own), lineage(*other))
    assert (found.fork_bytes if found else None) == fork


def test_what_lies_behind_a_fork_may_span_several_timelines() -> None:
    found = divergence_of(lineage([Fork(1, 700)], 2), lineage([Fork(1, 500)], 3))
    assert found == Divergence(500, (Span(1, 500, 700), Span(2, 700, OPEN_BYTES)))
    assert found.timeline == 2


def log_with(data: Path, record: bytes, at: int, pages: int = 3) -> Path:
    """A first segment whose first pages stand here and hold one record."""
    path = segment_file(data, 1, at, SEGMENT)
    path.parent.mkdir(parents=True, exist_ok=True)
    content, begin = bytearray(SEGMENT), at - at % SEGMENT
    for number in range(pages):
        struct.pack_into("<HHIQ", content, number * 8192, 0xD110, 0, 1, begin + number * 8192)
    left, position = record, at % SEGMENT
    while left:
        if position % 8192 == 0:
            position += 24 if position else 40
        room = min(len(left), 8192 - position % 8192)
        content[position : position + room] = left[:room]
        left, position = left[room:], position + room
    path.write_bytes(content)
    return path


def made_record(body: bytes) -> bytes:
    head = struct.pack("<IIQBBxx", 24 + len(body), 7, 1, 0, 1)
    return head + struct.pack("<I", _crc32c(body + head)) + body


@pytest.mark.parametrize("offset", [40, 8192, 8192 - 64, 2 * 8192 - 8])
def test_a_whole_record_is_told_from_what_only_looks_like_one(tmp_path: Path, offset: int) -> None:
    at = 3 * SEGMENT + offset
    record = made_record(b"x" * 300)
    assert record_stands([log_with(tmp_path, record, at)], at, SEGMENT)
    broken = record[:-1] + b"y"
    assert not record_stands([log_with(tmp_path, broken, at)], at, SEGMENT)
    assert not record_stands([log_with(tmp_path, bytes(324), at)], at, SEGMENT)
    remnant = log_with(tmp_path, record, at, pages=offset // 8192)
    assert not record_stands([remnant], at, SEGMENT)
    assert not record_stands([], at, SEGMENT)


def test_a_long_record_is_told_by_its_last_page_within_a_moment(tmp_path: Path) -> None:
    at = 3 * SEGMENT + 8192 - 64
    length = 2**18 + 3
    head = struct.pack("<I", length) + b"x" * (length - 4)
    path = log_with(tmp_path, head, at, pages=40)
    assert not record_stands([path], at, SEGMENT)
    content = bytearray(path.read_bytes())
    end = record_end(tmp_path, 1, at, SEGMENT) % SEGMENT
    page = end // 8192 * 8192
    struct.pack_into("<H", content, page + 2, 1)
    struct.pack_into("<I", content, page + 16, end - page - 24 - 5)
    path.write_bytes(content)
    assert record_stands([path], at, SEGMENT)
    struct.pack_into("<I", content, page + 16, end - page - 24 - 6)
    path.write_bytes(content)
    assert not record_stands([path], at, SEGMENT)


def test_the_checksum_is_that_of_postgresql() -> None:
    assert _crc32c(b"123456789") == 0xE3069283


def test_segments_that_wait_to_be_used_again_are_no_log(tmp_path: Path) -> None:
    log_with(tmp_path, b"", 3 * SEGMENT)
    log_with(tmp_path, b"", 4 * SEGMENT, pages=0)
    (tmp_path / "pg_wal" / "00000002.history").touch()
    assert [s.begin_bytes for s in segments(tmp_path, SEGMENT)] == [3 * SEGMENT]


LINES = """\
rmgr: Heap        len (rec/tot):     54/   150, tx:        700, lsn: 0/00000100, prev 0/000000D0, \
desc: INSERT off: 5, flags: 0x00, blkref #0: rel 1663/5/100 blk 0
rmgr: Heap        len (rec/tot):     54/   150, tx:        701, lsn: 0/00000110, prev 0/000000D0, \
desc: HOT_UPDATE old_xmax: 1, blkref #0: rel 1663/5/77 blk 0
rmgr: Transaction len (rec/tot):     34/    34, tx:        700, lsn: 0/00000200, prev 0/00000110, \
desc: COMMIT 2026-11-24 07:00:00.100000 UTC
rmgr: Transaction len (rec/tot):     34/    34, tx:        701, lsn: 0/00000210, prev 0/00000200, \
desc: COMMIT 2026-11-24 07:00:01.100000 UTC
rmgr: Heap        len (rec/tot):     54/   150, tx:        703, lsn: 0/00000220, prev 0/00000210, \
desc: INSERT off: 5, blkref #0: rel 1663/5/200 blk 0
rmgr: Heap2       len (rec/tot):     54/   150, tx:        703, lsn: 0/00000228, prev 0/00000210, \
desc: PRUNE snapshotConflictHorizon: 0, blkref #0: rel 1663/5/300 blk 0
rmgr: Transaction len (rec/tot):     66/    66, tx:        702, lsn: 0/00000230, prev 0/00000220, \
desc: COMMIT 2026-11-24 07:00:02.100000 UTC; subxacts: 703; inval msgs: catcache 21; sync
rmgr: Transaction len (rec/tot):     66/    66, tx:        704, lsn: 0/00000240, prev 0/00000230, \
desc: ABORT 2026-11-24 07:00:03.100000 UTC
rmgr: Transaction len (rec/tot):     66/    66, tx:          0, lsn: 0/00000250, prev 0/00000240, \
desc: COMMIT_PREPARED 699: 2026-11-24 07:00:04.100000 UTC
pg_waldump: error: error in WAL record at 0/250: invalid record length at 0/290: expected 24, got 0
"""


def test_commits_behind_the_fork_are_counted_and_saling_s_own_told_apart() -> None:
    counter = Counter(probe="5/77")
    counter.enter(Span(1, 0x200, OPEN_BYTES))
    for line in LINES.splitlines():
        counter.take(line)
    counted = counter.counted
    assert (counted.transactions, counted.own_probes) == (3, 1)
    assert counted.first_commit == "2026-11-24 07:00:00.100000 UTC"
    assert counted.last_commit == "2026-11-24 07:00:04.100000 UTC"
    assert counted.relations == {"1663/5/100", "1663/5/200"}
    assert counted.last_record_bytes == 0x250


def test_a_report_is_read_as_it_was_written_and_says_all_in_words(tmp_path: Path) -> None:
    place = tmp_path / "orders-7-timeline-1-after-0-3000148"
    place.mkdir()
    write_json(place, REPORT)
    assert read_report(place) == REPORT
    text = text_of(REPORT, place)
    for words in ("0/3000148", "3 (and 1 of", "public.t", "(no name)", "made or rewritten"):
        assert words in text
    assert f"pg_waldump -p {place}/pg_wal -t 1 -s 0/3000148" in text
    assert all_in(tmp_path, "orders") == [told(place, REPORT)]
    assert all_in(tmp_path, "order") == []
    gap = replace(REPORT, not_counted="log after 0/3000200 is there and could not be read")
    assert told(place, gap).text.startswith("at least 3 transactions (log after")
    assert "at least 3 (and 1" in text_of(gap, place)
    place.rename(place.with_name(place.name + ".part"))
    assert all_in(tmp_path, "orders") == []


def test_rewinding_is_known_to_have_written_however_much_it_said_since() -> None:
    heard: list[str] = []
    watched = Watched(lambda progress: heard.append(f"{progress.doing} {progress.done_bytes}"))
    watched.hear("pg_rewind: rewinding from last common checkpoint at 0/2000060 on timeline 1")
    for _ in range(10_000):
        watched.hear("  2048/4096 kB (50%) copied")
    watched.tell()
    assert watched.wrote
    assert heard[-1] == f"rewinding {2048 * 1024}"


def test_a_line_without_end_costs_no_more_than_what_comes() -> None:
    lines = Lines()
    assert lines.take(b"one\rtwo\n\nthr") == ["one", "two"]
    assert lines.take(b"ee\n") == ["three"]
    for _ in range(4000):
        assert lines.take(b"x" * 65536) == []
    [long] = lines.take(b"end\n")
    assert LINE_AT_MOST_BYTES <= len(long) < LINE_AT_MOST_BYTES + 65536
    assert lines.take(b"next\n") == ["next"]


def test_work_is_felt_in_what_a_process_has_done() -> None:
    before = done(1)
    assert before
    assert done(2**22 + 1) != before
