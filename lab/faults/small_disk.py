"""A small file system of its own that can really be full. Needs root; nothing is left of it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

FILLER = "filler"
BLOCK_BYTES = 64 * 1024
MOUNT_LIMIT_S = 10


class NoDisk(Exception):
    """It cannot be mounted here; the text says why."""


class SmallDisk:
    """A tmpfs at a directory: `with SmallDisk(path, size_bytes) as disk`. Raises NoDisk."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self.path = path
        self._size_bytes = size_bytes

    def __enter__(self) -> SmallDisk:
        self.path.mkdir(parents=True, exist_ok=True)
        size = f"size={self._size_bytes},mode=700"
        _run("mount", "-t", "tmpfs", "-o", size, "saling-small", str(self.path))
        return self

    def __exit__(self, *_: object) -> None:
        # Lazily: whoever still holds a file of it shall not keep the test from ending.
        _run("umount", "-l", str(self.path))

    @property
    def free_bytes(self) -> int:
        """As an ordinary user could still take."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def fill(self, leave_bytes: int = 0) -> None:
        """Until only so much is left; 0: until nothing more can be written."""
        block = bytes(BLOCK_BYTES)
        filler = (self.path / FILLER).open("ab", buffering=0)
        with filler, contextlib.suppress(OSError):
            while (more := self.free_bytes - leave_bytes) > 0:
                filler.write(block[:more])

    def make_room(self) -> None:
        """Take away all that `fill` wrote."""
        (self.path / FILLER).unlink(missing_ok=True)


def why_not() -> str:
    """Why no such disk can be had here; empty when it can."""
    return "" if os.geteuid() == 0 else "needs root, to mount a small file system"


def _run(*command: str) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=MOUNT_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoDisk(f"{command[0]}: {error}") from None
    if done.returncode:
        raise NoDisk(f"{command[0]}: {done.stderr.strip()}")
