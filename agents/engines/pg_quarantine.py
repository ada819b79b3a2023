"""The quarantine: what an old primary wrote and its upstream never had is kept, and told.

    <root>/<service>-<system>-timeline-<n>-after-<position>/
        pg_wal/           the log from the segment before the fork on, and the .history files
        global/pg_control
        data/             the whole data directory, where the configuration wants it
        report.json       the same as report.txt, for programs
        report.txt

It is made under a name of its own (.part) and renamed when all of it is on disk: what bears
the name is whole, what died half made is made anew. Nothing here ever removes a whole one.
Errors: EngineError, before anything of the copy was changed.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from agents.engines.base import EngineError, OnProgress, Progress, Quarantined
from agents.engines.pg_directory import sync, write_whole
from agents.engines.pg_lineage import Divergence
from agents.engines.pg_report import Report, read_report, text_of, write_json
from agents.engines.pg_wal import Segment, format_lsn, segments

SPARE_BYTES = 64 * 1024 * 1024
"""So much stays free on the disk, for the engine's own sake."""
NUMBERS_AT_MOST = 1000
WHOLE, WAL = "data_directory", "wal"
CHUNK_BYTES = 4 * 1024 * 1024


class Wanted(Struct, frozen=True):
    """What shall be kept of one copy, and where."""

    root: Path
    data: Path
    service: str
    system_identifier: str
    timeline: int
    divergence: Divergence
    segment_bytes: int
    whole: bool

    @property
    def name(self) -> str:
        where = format_lsn(self.divergence.fork_bytes).replace("/", "-")
        named = f"{self.service}-{self.system_identifier}"
        return f"{named}-timeline-{self.timeline}-after-{where}"

    def log_files(self) -> list[Segment]:
        """From the segment before the fork on, for a transaction may have begun there."""
        found = segments(self.data, self.segment_bytes)
        timelines = {span.timeline for span in self.divergence.spans}
        first = self.divergence.fork_bytes // self.segment_bytes * self.segment_bytes
        first -= self.segment_bytes
        return [s for s in found if s.timeline in timelines and s.begin_bytes >= first]


def standing(wanted: Wanted, report: Report) -> Path | None:
    """A whole quarantine that already holds all this: made before an interruption."""
    for place in _places(wanted):
        if not place.exists():
            return None
        there = read_report(place)
        if there and _covers(there, report) and there.whole_data_directory >= wanted.whole:
            return place
    return None


def _covers(there: Report, now: Report) -> bool:
    """By what was committed: a recovery adds log of its own, and no transaction."""
    if now.transactions is None:
        return there.files == now.files and there.end == now.end
    committed = ("transactions", "own_probes", "first_commit", "last_commit")
    return all(getattr(there, name) == getattr(now, name) for name in committed)


def _places(wanted: Wanted) -> Iterator[Path]:
    yield wanted.root / wanted.name
    for number in range(2, NUMBERS_AT_MOST):
        yield wanted.root / f"{wanted.name}-{number}"


def need_room(wanted: Wanted) -> None:
    """EngineError before anything is read for long. What is there already needs none."""
    if (wanted.root / wanted.name).exists():
        return
    _prepare_root(wanted.root)
    _, needed = _listed(wanted)
    _need_room(wanted.root, needed)


async def make(wanted: Wanted, report: Report, on_progress: OnProgress) -> Path:
    """All of it, on disk; returns where. EngineError without room, with nothing left behind."""
    place = next(place for place in _places(wanted) if not place.exists())
    part = place.with_name(place.name + ".part")
    files, needed = await asyncio.to_thread(_listed, wanted)
    try:
        _prepare_root(wanted.root)
        await asyncio.to_thread(_prepare, part)
        _need_room(wanted.root, needed)
        done = 0
        for source, inside in files:
            # One file a thread: a cancelled job waits for one of them at most.
            done += await asyncio.to_thread(_copy, source, part / inside)
            told = Progress("putting what diverged into quarantine", done, needed)
            on_progress(told)
        await asyncio.to_thread(_finish, part, place, report)
    except OSError as error:
        await asyncio.to_thread(shutil.rmtree, part, ignore_errors=True)
        raise EngineError(
            f"{place}: the quarantine could not be written ({error.strerror or error}), so nothing"
            " was rewound; free space there or set quarantine_directory to another disk"
        ) from None
    return place


def _prepare_root(root: Path) -> None:
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        root.chmod(0o700)
    except OSError as error:
        raise EngineError(
            f"{root}: no place for the quarantine ({error.strerror}), so nothing was rewound; make"
            " it writable for the agent's user or set quarantine_directory"
        ) from None


def _prepare(part: Path) -> None:
    if part.exists():
        shutil.rmtree(part)
    (part / "pg_wal").mkdir(mode=0o700, parents=True)
    (part / "global").mkdir(mode=0o700)


def _need_room(root: Path, needed: int) -> None:
    disk = os.statvfs(root)
    free = disk.f_bavail * disk.f_frsize
    if free < needed + SPARE_BYTES:
        raise EngineError(
            f"{root}: {free >> 20} MiB are free, and the quarantine of what diverged needs"
            f" {needed + SPARE_BYTES >> 20} MiB, so nothing was rewound; free space there or set"
            " quarantine_directory to another disk"
        )


def _listed(wanted: Wanted) -> tuple[list[tuple[Path, Path]], int]:
    """All that is copied, and its bytes. Takes a while where there are many files."""
    files = list(_files(wanted))
    return files, sum(source.stat().st_size for source, _ in files)


def _files(wanted: Wanted) -> Iterator[tuple[Path, Path]]:
    """What is copied, and its place inside."""
    log = wanted.data / "pg_wal"
    for segment in wanted.log_files():
        yield segment.path, Path("pg_wal", segment.path.name)
    for history in sorted(log.glob("*.history")):
        yield history, Path("pg_wal", history.name)
    yield wanted.data / "global" / "pg_control", Path("global", "pg_control")
    if wanted.whole:
        # Tablespaces and a log on another disk are links: what they lead to is copied.
        for directory, _, names in os.walk(wanted.data, followlinks=True):
            for name in names:
                path = Path(directory, name)
                if path.is_file():
                    yield path, Path("data") / path.relative_to(wanted.data)


def _copy(source: Path, target: Path) -> int:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    done = 0
    with source.open("rb") as reading, target.open("xb") as writing:
        os.fchmod(writing.fileno(), 0o600)
        while chunk := reading.read(CHUNK_BYTES):
            done += writing.write(chunk)
        writing.flush()
        os.fsync(writing.fileno())
    return done


def _finish(part: Path, place: Path, report: Report) -> None:
    write_json(part, report)
    write_whole(part / "report.txt", text_of(report, place))
    for directory, _, _ in os.walk(part, topdown=False):
        sync(Path(directory))
    part.rename(place)
    sync(place.parent)
    sync(place.parent.parent)


def told(place: Path, report: Report) -> Quarantined:
    """In one sentence, with the figures."""
    if report.transactions is None:
        what = f"transactions not counted ({report.not_counted})"
    else:
        what = f"{report.transactions} transactions"
        if report.not_counted:
            what = f"at least {what} ({report.not_counted})"
    return Quarantined(
        path=place,
        transactions=report.transactions,
        bytes=report.bytes,
        text=f"{what}, {report.bytes} bytes of log after {report.fork} of timeline "
        f"{report.old_timeline}, which {report.upstream} never had, are kept in {place}; see "
        "report.txt there",
        whole=report.whole_log,
    )


def all_in(root: Path, service: str) -> list[Quarantined]:
    """The whole quarantines of one service."""
    found = []
    for place in sorted(root.glob(f"{service}-*-timeline-*")):
        report = None if place.suffix == ".part" else read_report(place)
        if report is not None and report.service == service:
            found.append(told(place, report))
    return found
