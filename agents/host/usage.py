"""What the host really uses: processors, memory, the disks of the data, clients of the engines.

In a container with a limit of its own it is what that container uses, else what the host does.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog
from msgspec import Struct

from agents.engines.base import Engine, EngineError
from agents.guard.client import GuardError
from protocol.messages import Usage

LOOK_EVERY_S = 10.0
FIRST_LOOK_S = 1.0
"""How busy processors are is only known between two looks."""
LIMIT_S = 5.0
KEPT_S = 3 * LOOK_EVERY_S
"""What was seen counts for so long: afterwards nothing is known."""
CGROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc")
IDLE = (3, 4)
"""Of the times in /proc/stat: idle, and waiting for a disk."""
GUEST_FROM = 8
"""From here on they are contained in the others."""

log = structlog.get_logger("usage")


class Busy(Struct, frozen=True):
    """Processor time used so far, in milliseconds, and when that was read."""

    used_ms: int
    at_ms: int


class UsageWatch:
    """One task of the agent."""

    def __init__(
        self,
        data: Iterable[Path],
        engines: Iterable[Engine],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._data = tuple(data)
        self._engines = tuple(engines)
        self._clock_s = clock_s
        self._busy: Busy | None = None
        self._said = ""
        self._seen: Usage | None = None
        self._seen_s = 0.0

    @property
    def usage(self) -> Usage | None:
        """What was seen last; None before the second look, and when that was too long ago."""
        return self._seen if self._clock_s() - self._seen_s <= KEPT_S else None

    async def run(self) -> None:
        """Look, until cancelled."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="usage")
        wait_s = FIRST_LOOK_S
        try:
            while True:
                await self._look(thread)
                await asyncio.sleep(wait_s)
                wait_s = LOOK_EVERY_S
        finally:
            # A disk that hangs must not hold up our end.
            thread.shutdown(wait=False)

    async def _look(self, thread: ThreadPoolExecutor) -> None:
        """One look at a time: the next one waits for a disk that hangs, too."""
        looking = asyncio.get_running_loop().run_in_executor(thread, look, self._data)
        done, _ = await asyncio.wait({looking}, timeout=LIMIT_S)
        if not done:
            self._say(f"a disk has not answered for {LIMIT_S:.0f} s")
        try:
            busy, memory_bytes, storage_bytes = await looking
            connections = await self._connections()
        except (OSError, ValueError, LookupError) as error:
            self._say(repr(error))
            return
        self._say("")
        before, self._busy = self._busy, busy
        if before is not None:
            used = millicores(before, busy)
            self._seen = Usage(used, memory_bytes, storage_bytes, connections)
            self._seen_s = self._clock_s()

    async def _connections(self) -> int:
        """One that does not answer counts nothing: whether it is well, others tell."""
        counts = await asyncio.gather(*(_connections(engine) for engine in self._engines))
        return sum(counts)

    def _say(self, problem: str) -> None:
        if problem and problem != self._said:
            log.warning("what this host uses is not known", error=problem)
        self._said = problem


async def _connections(engine: Engine) -> int:
    try:
        async with asyncio.timeout(LIMIT_S):
            return await engine.connections()
    except (EngineError, GuardError, OSError, TimeoutError):
        return 0


def look(
    data: tuple[Path, ...], proc: Path = PROC, cgroups: Path = CGROUPS
) -> tuple[Busy, int, int]:
    """Processor time, memory and storage that are used. Raises OSError, ValueError, LookupError."""
    group = own_limits(proc, cgroups)
    used_ms = group_used_ms(group) if group else host_used_ms(proc)
    memory_bytes = group_memory_bytes(group) if group else host_memory_bytes(proc)
    at_ms = time.monotonic_ns() // 1_000_000
    return Busy(used_ms, at_ms), memory_bytes, storage_bytes(data)


def millicores(before: Busy, now: Busy) -> int:
    """Thousandths of a core between two looks."""
    span_ms = now.at_ms - before.at_ms
    return max(0, now.used_ms - before.used_ms) * 1000 // span_ms if span_ms > 0 else 0


def own_limits(proc: Path, cgroups: Path) -> Path | None:
    """The directory of our control group (version 2) where it limits anything; None else."""
    for line in (proc / "self/cgroup").read_text().splitlines():
        number, _, path = line.split(":", 2)
        group = cgroups / path.lstrip("/")
        if number == "0" and any(_is_limited(group / name) for name in ("cpu.max", "memory.max")):
            return group
    return None


def _is_limited(file: Path) -> bool:
    try:
        return not file.read_text().startswith("max")
    except OSError:
        return False


def host_used_ms(proc: Path) -> int:
    """Of all processors, since the host started."""
    words = (proc / "stat").read_text().splitlines()[0].split()[1:]
    busy = (int(ticks) for n, ticks in enumerate(words[:GUEST_FROM]) if n not in IDLE)
    return sum(busy) * 1000 // os.sysconf("SC_CLK_TCK")


def host_memory_bytes(proc: Path) -> int:
    """What a new program could not have."""
    lines = (line.split() for line in (proc / "meminfo").read_text().splitlines())
    kib = {words[0]: int(words[1]) for words in lines if len(words) > 1}
    return (kib["MemTotal:"] - kib["MemAvailable:"]) * 1024


def group_used_ms(group: Path) -> int:
    """Of all that run in the group, since it was made."""
    return _named(group / "cpu.stat")["usage_usec"] // 1000


def group_memory_bytes(group: Path) -> int:
    """Without the files that the kernel could forget at once."""
    current = int((group / "memory.current").read_text())
    return max(0, current - _named(group / "memory.stat").get("inactive_file", 0))


def _named(file: Path) -> dict[str, int]:
    pairs = (line.split() for line in file.read_text().splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


def storage_bytes(data: tuple[Path, ...]) -> int:
    """What is used on the file systems of the data and its log, each counted once."""
    used: dict[int, int] = {}
    for path in (each for directory in data for each in (directory, directory / "pg_wal")):
        standing = next(place for place in (path, *path.absolute().parents) if place.exists())
        found = os.statvfs(standing)
        used[standing.stat().st_dev] = (found.f_blocks - found.f_bfree) * found.f_frsize
    return sum(used.values())
