"""Whether a program that says nothing works all the same: its processor time and its files."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

EVERY_S = 2.0
PROCESSES_AT_MOST = 100


@contextlib.asynccontextmanager
async def working(pid: int, on_work: Callable[[], None] | None) -> AsyncIterator[None]:
    """Calls `on_work` whenever the program or one that it started has done something."""
    if on_work is None:
        yield
        return
    task = asyncio.create_task(_feel(pid, on_work), name=f"pulse of {pid}")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _feel(pid: int, on_work: Callable[[], None]) -> None:
    before = done(pid)
    while True:
        await asyncio.sleep(EVERY_S)
        if (now := done(pid)) != before:
            on_work()
        before = now


def done(pid: int) -> dict[int, str]:
    """What a process and its children have done so far: differs after any work."""
    return {each: f"{_times(each)} {_io(each)}" for each in _family(pid)}


def _family(pid: int) -> Iterator[int]:
    waiting = [pid]
    for _ in range(PROCESSES_AT_MOST):
        if not waiting:
            return
        yield (each := waiting.pop())
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{each}/task/{each}/children").read_text()
            waiting += map(int, children.split())


def _times(pid: int) -> str:
    """Processor time in user and system mode, in ticks."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return " ".join(fields[11:13])
    return ""


def _io(pid: int) -> str:
    """What it read and wrote; nothing where the kernel does not tell."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/io").read_text()
    return ""
