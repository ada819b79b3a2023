"""A site that stands still and goes on: every process of it stopped, and continued.

The processes of a site are those whose command line names its directory, and all their children:
an engine's own processes name none. A stopped process has no more children, so that stopping
again until nothing runs leaves out nobody who is born meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path

from lab.base.processes import pids_of

STILL_TIMEOUT_S = 10.0
LOOK_AGAIN_S = 0.002
_STILL = "TtZX"
"""Stopped, traced, or ended."""


async def freeze(directory: Path, also: Iterable[int] = ()) -> int:
    """Stop every process of a directory, and these with their children; returns how many.

    Raises TimeoutError when one goes on running, and then lets all go on.
    """
    deadline = asyncio.get_running_loop().time() + STILL_TIMEOUT_S
    wanted = tuple(also)
    while True:
        family = family_of({*pids_of(directory), *wanted})
        running = [pid for pid, state in family.items() if state not in _STILL]
        if not running:
            return len(family)
        if asyncio.get_running_loop().time() > deadline:
            thaw(directory, wanted)
            raise TimeoutError(f"processes of {directory} do not stand still: {running}")
        for pid in running:
            _send(pid, signal.SIGSTOP)
        await asyncio.sleep(LOOK_AGAIN_S)


def thaw(directory: Path, also: Iterable[int] = ()) -> None:
    """Let all go on, the children first: what holds deadlines is its engine's ancestor, and the
    hardest case is the one in which it wakes last."""
    for pid in reversed(family_of({*pids_of(directory), *also})):
        _send(pid, signal.SIGCONT)


def family_of(pids: Iterable[int]) -> dict[int, str]:
    """These processes and all that come from them, parents first, with the kernel's state."""
    parents: dict[int, int] = {}
    states: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # The name in parentheses may hold anything, so the fields are counted after it.
            fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            states[int(entry.name)], parents[int(entry.name)] = fields[0], int(fields[1])
    named = set(pids) & set(states)
    generation = [pid for pid in named if parents[pid] not in named]
    family: dict[int, str] = {}
    while generation:
        family |= {pid: states[pid] for pid in generation}
        generation = [pid for pid, parent in parents.items() if parent in generation]
    return family


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
