"""A cgroup of version 1 that holds the processes of one engine, and gives them back. Needs root."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

LIMIT_S = 10.0
LOOK_AGAIN_S = 0.005


class Group:
    """Made with the first process, gone with `end`."""

    def __init__(self, controller: Path, name: Path) -> None:
        """`name`: whose processes it holds, for no other group of this process may be called so."""
        self._controller = controller
        self.path = controller / f"saling-{os.getpid()}-{abs(hash(name)):x}"

    def make(self) -> None:
        """Harmless when it stands. Raises OSError."""
        self.path.mkdir(exist_ok=True)

    def take(self, pids: Iterable[int]) -> None:
        """Those that live. Their children are born in it. Raises OSError."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                (self.path / "cgroup.procs").write_text(str(pid))

    def held(self) -> list[int]:
        return [int(pid) for pid in (self.path / "cgroup.procs").read_text().split()]

    def end(self) -> None:
        """Give all back to the root of the controller. Harmless without a group. Raises OSError."""
        end_s = time.monotonic() + LIMIT_S
        while self.path.exists():
            for pid in self.held():
                with contextlib.suppress(OSError):
                    (self._controller / "cgroup.procs").write_text(str(pid))
            try:
                self.path.rmdir()
            except OSError:
                if time.monotonic() > end_s:
                    raise
                time.sleep(LOOK_AGAIN_S)
