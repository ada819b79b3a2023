"""Whether promises could be kept is known before one is asked for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agents import state_disk
from agents.metrics import Metrics
from agents.state_disk import StateDisk

Until = Callable[[Callable[[], object], str], Awaitable[None]]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_disk, "TRY_EVERY_S", 0.01)
    monkeypatch.setattr(state_disk, "LIMIT_S", 0.05)


async def test_a_disk_that_takes_nothing_is_told_and_its_return_too(
    tmp_path: Path, until: Until
) -> None:
    directory = tmp_path / "state"
    metrics = Metrics("batam-1", "batam")
    disk = StateDisk(directory, metrics)
    task = asyncio.create_task(disk.run())
    await until(lambda: disk.problem, "it is told")
    assert str(directory) in disk.problem
    assert "No such file" in disk.problem
    assert "saling_state_directory_ok 0.0" in metrics.text().decode()
    directory.mkdir()
    await until(lambda: not disk.problem, "it works")
    task.cancel()
    await asyncio.wait({task})
    assert list(directory.iterdir()) in ([], [directory / state_disk.PROBE_FILE])


async def test_a_disk_that_hangs_is_told_and_no_second_write_is_begun(
    tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    comes_back, writes = threading.Event(), list[Path]()

    def hang(path: Path, _data: bytes) -> None:
        writes.append(path)
        comes_back.wait(60)

    monkeypatch.setattr(state_disk, "write_flushed", hang)
    disk = StateDisk(tmp_path, Metrics("batam-1", "batam"))
    task = asyncio.create_task(disk.run())
    await until(lambda: "has not come back" in disk.problem, "it is told")
    assert len(writes) == 1
    comes_back.set()
    await until(lambda: not disk.problem, "it works")
    task.cancel()
    await asyncio.wait({task})
