"""Standing still: every process of a directory and its children, also those born meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from lab.base.processes import Child, end_all, pids_of
from lab.running.freezing import family_of, freeze, thaw

WAIT_S = 30.0
CHILDREN = 10
"""So many that a twin has meanwhile, before what stood still is believed to stand still."""

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
    async with breeding(tmp_path / "site") as child:
        yield child


@contextlib.asynccontextmanager
async def breeding(directory: Path) -> AsyncIterator[Child]:
    directory.mkdir()
    child = Child("breeder", directory / "out", ["-c", BREEDER, f"{directory}/."])
    child.start()
    try:
        await until_it_grows(directory / "counter", 0)
        yield child
    finally:
        await child.end(signal.SIGKILL)
        await end_all(directory)


async def until_it_grows(file: Path, size: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            with contextlib.suppress(FileNotFoundError):
                if file.stat().st_size > size:
                    return
            await asyncio.sleep(0.01)


def turns_of(pids: Iterable[int]) -> dict[int, list[str]]:
    """How often each was given the processor, by the kernel's own count."""
    files = {pid: Path(f"/proc/{pid}/status").read_text().splitlines() for pid in pids}
    return {pid: [x for x in lines if "ctxt_switches" in x] for pid, lines in files.items()}


async def test_all_stand_still_and_go_on_where_they_were(breeder: Child, tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert await freeze(site) >= 1
    still = family_of(pids_of(site))
    size = (site / "counter").stat().st_size
    # Its twin beside it goes on: in that time this one would have had children, too.
    async with breeding(tmp_path / "twin"):
        turns = turns_of(still)
        await until_it_grows(tmp_path / "twin" / "counter", CHILDREN)
    assert family_of(pids_of(site)) == still
    assert not set(still.values()) - set("TZ")
    assert turns_of(still) == turns
    assert (site / "counter").stat().st_size == size
    thaw(site)
    await until_it_grows(site / "counter", size)
    assert breeder.running


async def test_what_stands_still_can_be_ended(breeder: Child, tmp_path: Path) -> None:
    await freeze(tmp_path / "site")
    await breeder.end(signal.SIGKILL)
    await end_all(tmp_path / "site")
    assert pids_of(tmp_path / "site") == []


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
