"""A disk that is slow for one engine: the kernel lets its processes write so often a second.

Needs root and the blkio controller of cgroup v1. Nothing is left of it.
"""

from __future__ import annotations

import os
from pathlib import Path

from lab.base.processes import processes_in
from lab.faults.cgroups import Group

BLKIO = Path("/sys/fs/cgroup/blkio")
LIMIT = "blkio.throttle.write_iops_device"


class SlowDisk:
    """`slow` the engine of a data directory, `release` it."""

    def __init__(self, data: Path, writes_per_s: int) -> None:
        self._data = data.resolve()
        self._writes_per_s = writes_per_s
        self._group = Group(BLKIO, self._data)

    def slow(self) -> None:
        """All that it runs, and what that begins later. Raises OSError."""
        self._group.make()
        device = self._data.stat().st_dev
        limit = f"{os.major(device)}:{os.minor(device)} {self._writes_per_s}"
        (self._group.path / LIMIT).write_text(limit)
        # One that is born meanwhile comes from one that is held, or is found the next time.
        while fresh := set(processes_in(self._data)) - set(self._group.held()):
            self._group.take(fresh)

    def release(self) -> None:
        """Let all write as fast as the disk does. Harmless when it was. Raises OSError."""
        self._group.end()


def why_not(path: Path) -> str:
    """Why the disk on which this stands cannot be slowed; empty when it can."""
    if os.geteuid() != 0:
        return "needs root, to slow a disk"
    if not (BLKIO / LIMIT).exists():
        return f"there is no blkio controller at {BLKIO}"
    return "" if os.major(path.stat().st_dev) else f"{path} stands on no disk of its own"
