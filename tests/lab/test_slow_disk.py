"""A disk that is slow for one engine: who stands in its directory writes so often a second."""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lab.faults.slow_disk import SlowDisk, why_not

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]

WRITES_PER_S = 4
COUNTED = 12
AT_LEAST_S = 1.0
"""Half of what so many take at that pace, for the kernel lets the first ones through at once."""

WRITER = """
import os, sys
file = os.open("written", os.O_WRONLY | os.O_CREAT | os.O_DSYNC)
for _ in sys.stdin:
    os.pwrite(file, b"x" * 8192, 0)
    print(flush=True)
"""


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[Process]:
    """A program that stands in the directory, and writes once for each line that it is told."""
    if reason := why_not(tmp_path):
        pytest.skip(reason)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, cwd=tmp_path, stdin=PIPE, stdout=PIPE
    )
    yield process
    process.kill()
    await process.wait()


async def writes(process: Process, count: int) -> float:
    """How many seconds so many took."""
    assert process.stdin is not None
    assert process.stdout is not None
    since_s = time.monotonic()
    process.stdin.write(b"\n" * count)
    for _ in range(count):
        assert await process.stdout.readline()
    return time.monotonic() - since_s


async def test_whoever_stands_there_writes_slowly_until_it_is_released(
    writer: Process, tmp_path: Path
) -> None:
    disk = SlowDisk(tmp_path, WRITES_PER_S)
    await writes(writer, 1)
    disk.slow()
    try:
        assert await writes(writer, COUNTED) > AT_LEAST_S
    finally:
        disk.release()
        disk.release()
    await writes(writer, COUNTED)
