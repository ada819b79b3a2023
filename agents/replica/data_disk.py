"""Watches the room on the disk of one engine's data and log, so that it is told before it is full.

A primary whose disk is full stops, and a backup whose disk is full cannot receive, nor be
promoted: a promotion writes too. Looking is a call of its own thread with a time limit, for a
disk that hangs must hold up no lease.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import structlog

from agents.guard.client import now_ms
from agents.metrics import Metrics

LOOK_EVERY_S = 1.0
LIMIT_S = 5.0
GIB = 2**30
FLOOR_MOST_BYTES = GIB
FLOOR_SHARE = 20
"""Without a floor of its own a file system has a twentieth of its size for one, at most a GiB."""
WINDOW_MS = 60_000
"""The rate is taken over this: what a checkpoint frees at once must not look like a rescue, nor
the log that grows to its usual size after a start like a disk that fills for good."""
SOON_FULL_S = 180
AMPLE_S = 2 * SOON_FULL_S
CALM_MS = 30_000
"""There must have been room for so long before it counts as room."""

log = structlog.get_logger("data_disk")


class Look(NamedTuple):
    """One look at a file system."""

    at_ms: int
    free_bytes: int
    size_bytes: int


class Room:
    """What is known of the room on one file system. Low is told at once, room with patience."""

    def __init__(self, path: Path, floor_bytes: int | None = None) -> None:
        self._path = path
        self._floor_bytes = floor_bytes
        self._looks: deque[Look] = deque()
        self._is_low = False
        self._roomy_since_ms = -1

    @property
    def last(self) -> Look | None:
        """The newest look; None before the first."""
        return self._looks[-1] if self._looks else None

    @property
    def floor_bytes(self) -> int:
        """Below this it is low."""
        if self._floor_bytes is not None:
            return self._floor_bytes
        return floor_of(self._looks[-1].size_bytes) if self._looks else 0

    @property
    def rate_bytes_s(self) -> int:
        """How fast it fills, by the whole window and by the last third of it; 0 if it does not."""
        return max(0, min(self._rate(WINDOW_MS), self._rate(WINDOW_MS // 3)))

    @property
    def low(self) -> str:
        """Why it is too full to serve for long, with the figures; empty while there is room."""
        last = self.last
        if last is None or not self._is_low:
            return ""
        text = f"{self._path}: {size(last.free_bytes)} free of {size(last.size_bytes)}"
        text += f", the floor is {size(self.floor_bytes)}"
        if not self.rate_bytes_s:
            return text
        left = f"{last.free_bytes // self.rate_bytes_s} s"
        return f"{text}; it fills at {size(self.rate_bytes_s)}/s and is full in {left}"

    def take(self, look: Look) -> None:
        """Count one more look."""
        self._looks.append(look)
        while look.at_ms - self._looks[0].at_ms > WINDOW_MS:
            self._looks.popleft()
        rate = self.rate_bytes_s
        left_s = look.free_bytes // rate if rate else AMPLE_S
        if look.free_bytes < self.floor_bytes or left_s < SOON_FULL_S:
            self._is_low, self._roomy_since_ms = True, -1
            return
        roomy = look.free_bytes * 4 >= self.floor_bytes * 5 and left_s >= AMPLE_S
        if not roomy:
            self._roomy_since_ms = -1
        elif self._roomy_since_ms < 0:
            self._roomy_since_ms = look.at_ms
        if roomy and look.at_ms - self._roomy_since_ms >= CALM_MS:
            self._is_low = False

    def _rate(self, window_ms: int) -> int:
        """Over the last part of the window; 0 before there was so much of it."""
        last = self._looks[-1] if self._looks else None
        if last is None or last.at_ms - self._looks[0].at_ms < WINDOW_MS * 9 // 10:
            return 0
        first = next(look for look in self._looks if last.at_ms - look.at_ms <= window_ms)
        span_ms = last.at_ms - first.at_ms
        return (first.free_bytes - last.free_bytes) * 1000 // span_ms if span_ms else 0


class DataDisk:
    """The disks of one engine: of its data directory, and of its log where that is another."""

    def __init__(
        self,
        service: str,
        data: Path,
        floor_bytes: int | None,
        metrics: Metrics,
        changed: Callable[[], None],
    ) -> None:
        self._service = service
        self._rooms = {path: Room(path, floor_bytes) for path in (data, data / "pg_wal")}
        self._metrics = metrics
        self._changed = changed
        self.problem = ""
        """Why the disk cannot be looked at; empty while it can."""

    @property
    def low(self) -> str:
        """Why it is too full to serve for long, with the figures; empty while there is room."""
        return next(filter(None, (room.low for room in self._rooms.values())), "")

    @property
    def free_bytes(self) -> int:
        """What is free where less is; 0 while unknown."""
        return min((room.last.free_bytes for room in self._rooms.values() if room.last), default=0)

    async def run(self) -> None:
        """Look, until cancelled."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="data disk")
        try:
            while True:
                await self._look(thread)
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            # A disk that hangs must not hold up our end.
            thread.shutdown(wait=False)

    async def _look(self, thread: ThreadPoolExecutor) -> None:
        """One look at a time: the next one waits for a disk that hangs, too."""
        paths = tuple(self._rooms)
        looking = asyncio.get_running_loop().run_in_executor(thread, _looks, paths)
        done, _ = await asyncio.wait({looking}, timeout=LIMIT_S)
        if not done:
            self._say(f"{paths[0]}: the disk has not answered for {LIMIT_S:.0f} s")
        try:
            looks = await looking
        except OSError as error:
            self._say(f"{paths[0]}: the room on its disk is not known: {error.strerror or error}")
            return
        self._say("")
        self._take(looks)

    def _take(self, looks: dict[Path, Look]) -> None:
        was_low = bool(self.low)
        for path, look in looks.items():
            self._rooms[path].take(look)
        if bool(self.low) != was_low:
            log.warning("the disk of the data", service=self._service, low=self.low or "no more")
            self._changed()
        least = min(looks.values(), key=lambda look: look.free_bytes)
        metrics, service = self._metrics, self._service
        metrics.disk_free_bytes.labels(service).set(least.free_bytes)
        metrics.disk_size_bytes.labels(service).set(least.size_bytes)
        metrics.disk_low.labels(service).set(bool(self.low))

    def _say(self, problem: str) -> None:
        if problem and problem != self.problem:
            log.error("the disk of the data", service=self._service, error=problem)
        self.problem = problem


def floor_of(size_bytes: int) -> int:
    """The floor of a file system for which none was declared."""
    return min(size_bytes // FLOOR_SHARE, FLOOR_MOST_BYTES)


def look_at(path: Path) -> Look:
    """The file system on which this stands, or will. Raises OSError."""
    standing = next(place for place in (path, *path.absolute().parents) if place.exists())
    found = os.statvfs(standing)
    # What only root may use is no room for an engine.
    return Look(now_ms(), found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)


def size(count: int) -> str:
    """A size as people read it."""
    if count >= GIB:
        return f"{count / GIB:.1f} GiB"
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count // 1024} KiB"


def _looks(paths: tuple[Path, ...]) -> dict[Path, Look]:
    return {path: look_at(path) for path in paths}
