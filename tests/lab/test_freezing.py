"""Standing still: every process of a directory and its children, also those born meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lab.freezing import family_of, freeze, thaw
from lab.processes import Child, end_all, pids_of

WAIT_S = 30.0

BREEDER = """
import os, sys, time
while True:
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            time.sleep(0.03)
        os._exit(0)
    os.waitpid(child, 0)
    with open(sys.argv[1] + "/counter", "a") as file:
        file.write(".")
"""


@pytest.fixture
async def breeder(tmp_path: Path) -> AsyncIterator[Child]:
    """A program that goes on having children, who have children of their own."""
    child = Child("breeder", tmp_path / "out", ["-c", BREEDER, f"{tmp_path}/."])
    child.start()
    await until_it_grows(tmp_path / "counter", 0)
    yield child
    await child.end(signal.SIGKILL)
    await end_all(tmp_path)


async def until_it_grows(file: Path, size: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            with contextlib.suppress(FileNotFoundError):
                if file.stat().st_size > size:
                    return
            await asyncio.sleep(0.01)


async def test_all_stand_still_and_go_on_where_they_were(breeder: Child, tmp_path: Path) -> None:
    assert await freeze(tmp_path) >= 1
    still = family_of(pids_of(tmp_path))
    size = (tmp_path / "counter").stat().st_size
    await asyncio.sleep(0.2)  # What is shown is that nothing happens meanwhile.
    assert family_of(pids_of(tmp_path)) == still
    assert not set(still.values()) - set("TZ")
    assert (tmp_path / "counter").stat().st_size == size
    thaw(tmp_path)
    await until_it_grows(tmp_path / "counter", size)
    assert breeder.running


async def test_what_stands_still_can_be_ended(breeder: Child, tmp_path: Path) -> None:
    await freeze(tmp_path)
    await breeder.end(signal.SIGKILL)
    await end_all(tmp_path)
    assert pids_of(tmp_path) == []


async def test_a_process_named_besides_stands_still_with_its_children(tmp_path: Path) -> None:
    other = Child("other", tmp_path / "elsewhere.out", ["-c", "import time; time.sleep(600)"])
    other.start()
    try:
        assert await freeze(tmp_path / "site", [other.pid]) == 1
        assert family_of([other.pid]) == {other.pid: "T"}
        thaw(tmp_path / "site", [other.pid])
        assert family_of([other.pid])[other.pid] in "RSD"
    finally:
        await other.end(signal.SIGKILL)
