"""An engine that no kill ends: its processes frozen by a cgroup, as if its disk hung in the kernel.

A process that the freezer holds is in uninterruptible sleep: it takes SIGKILL only when it is
thawed, and then runs no further instruction of its own. Needs root and the freezer of cgroup v1.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from lab.base.processes import processes_in
from lab.faults.cgroups import Group

FREEZER = Path("/sys/fs/cgroup/freezer")
LIMIT_S = 10.0
LOOK_AGAIN_S = 0.005


class StuckEngine:
    """`stick` the engine of a data directory, `release` it; at the end of the `with` it is free."""

    def __init__(self, data: Path) -> None:
        self._data = data.resolve()
        self._group = Group(FREEZER, self._data)

    def __enter__(self) -> StuckEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def stick_one(self, pid: int) -> None:
        """Hold this process alone. Raises TimeoutError, OSError."""
        self._group.make()
        self._group.take([pid])
        self._state("FROZEN", time.monotonic() + LIMIT_S)

    def stick(self) -> int:
        """Hold every process of the engine; how many. Raises TimeoutError, OSError."""
        self._group.make()
        end_s = time.monotonic() + LIMIT_S
        while True:
            # One that is born meanwhile comes from one that is held, or is found the next time.
            pids = processes_in(self._data)
            self._group.take(pids)
            self._state("FROZEN", end_s)
            if set(processes_in(self._data)) <= set(self._group.held()):
                return len(pids)
            if time.monotonic() > end_s:
                self.release()
                raise TimeoutError(f"{self._data}: not every process can be held")

    def release(self) -> None:
        """Let all go on: who was killed meanwhile dies. Raises TimeoutError, OSError."""
        if self._group.path.exists():
            self._state("THAWED", time.monotonic() + LIMIT_S)
            self._group.end()

    def _state(self, wanted: str, end_s: float) -> None:
        file = self._group.path / "freezer.state"
        file.write_text(wanted)
        while file.read_text().strip() != wanted:
            if time.monotonic() > end_s:
                raise TimeoutError(f"{self._group.path}: not {wanted} within {LIMIT_S:.0f} s")
            file.write_text(wanted)
            time.sleep(LOOK_AGAIN_S)


def why_not() -> str:
    """Why no engine can be stuck here; empty when it can."""
    if os.geteuid() != 0:
        return "needs root, to freeze processes"
    return "" if (FREEZER / "cgroup.procs").exists() else f"there is no freezer at {FREEZER}"
