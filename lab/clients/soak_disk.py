"""A disk writer for the soak: `python -m lab.clients.soak_disk FILE` writes 8 MiB, flushes, begins
anew."""

from __future__ import annotations

import os
import sys
from pathlib import Path

BLOCK = b"x" * 1024 * 1024
BLOCKS = 8


def write_always(file: Path) -> None:
    """Until it is ended."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)
    while True:
        for number in range(BLOCKS):
            os.pwrite(descriptor, BLOCK, number * len(BLOCK))
        os.fsync(descriptor)


if __name__ == "__main__":
    write_always(Path(sys.argv[1]))
