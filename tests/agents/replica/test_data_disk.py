"""That a disk fills is told before it is full, in time and without crying wolf."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from agents.doctor.disk import disk_findings
from agents.doctor.findings import Level
from agents.metrics import Metrics
from agents.replica import data_disk
from agents.replica.data_disk import GIB, DataDisk, Look, Room, floor_of
from lab.faults.small_disk import SmallDisk

MIB = 2**20
DATA = Path("/srv/paspor/data")
Until = Callable[[Callable[[], object], str], Awaitable[None]]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_disk, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(data_disk, "LIMIT_S", 0.05)


def looked(room: Room, free_bytes: int, *, every_s: int = 1, times: int = 1, step: int = 0) -> None:
    """Looks one after the other, each with so many bytes less."""
    at_ms = room.last.at_ms if room.last else 0
    for number in range(1, times + 1):
        at_ms += every_s * 1000
        room.take(Look(at_ms, free_bytes - step * number, 100 * GIB))


def test_the_floor_is_a_twentieth_of_the_disk_and_a_gibibyte_at_most() -> None:
    assert floor_of(100 * GIB) == GIB
    assert floor_of(10 * GIB) == GIB // 2
    room = Room(DATA)
    looked(room, GIB)
    assert room.low == ""
    looked(room, GIB - 1)
    assert room.low == f"{DATA}: 1024.0 MiB free of 100.0 GiB, the floor is 1.0 GiB"


def test_a_floor_that_was_declared_counts_instead() -> None:
    room = Room(DATA, 64 * MIB)
    looked(room, 65 * MIB)
    assert room.low == ""
    looked(room, 63 * MIB)
    assert room.low


def test_a_disk_that_will_soon_be_full_is_low_before_its_floor() -> None:
    room = Room(DATA)
    looked(room, 30 * GIB, times=60, step=100 * MIB)
    assert "fills at 100.0 MiB/s" not in room.low
    looked(room, 24 * GIB, times=80, step=100 * MIB)
    assert "it fills at 100.0 MiB/s and is full in 1" in room.low


def test_a_disk_that_fills_for_a_short_while_only_is_not_low() -> None:
    """A log that grows to its usual size, or a copy that is made."""
    room = Room(DATA)
    looked(room, 10 * GIB, times=60)
    looked(room, 10 * GIB, times=20, step=200 * MIB)
    looked(room, 6 * GIB, times=60)
    assert room.low == ""


def test_room_is_believed_only_after_it_was_there_for_a_while() -> None:
    room = Room(DATA)
    looked(room, GIB // 2)
    looked(room, GIB + 1, times=120)
    assert room.low, "so little more is no room yet"
    looked(room, 2 * GIB, times=20)
    assert room.low
    looked(room, GIB // 2)
    looked(room, 2 * GIB, times=25)
    assert room.low, "it was low meanwhile"
    looked(room, 2 * GIB, times=10)
    assert room.low == ""


async def test_a_disk_that_hangs_is_told_and_holds_up_no_other_task(
    tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    comes_back = threading.Event()

    def hang(_path: object) -> os.statvfs_result:
        comes_back.wait(60)
        raise OSError(5, "Input/output error")

    fake = SimpleNamespace(statvfs=hang, fspath=os.fspath)
    monkeypatch.setattr(data_disk, "os", fake)
    disk = DataDisk("paspor", tmp_path, None, Metrics("batam-1", "batam"), lambda: None)
    task = asyncio.create_task(disk.run())
    await until(lambda: "has not answered" in disk.problem, "it is told")
    assert disk.free_bytes == 0
    assert disk.low == ""
    comes_back.set()
    await until(lambda: "Input/output error" in disk.problem, "so is its error")
    task.cancel()
    await asyncio.wait({task})


async def test_a_real_disk_that_fills_is_told_at_once_and_in_the_metrics(
    small_disk: SmallDisk, until: Until
) -> None:
    told: list[str] = []
    metrics = Metrics("batam-1", "batam")
    data = small_disk.path / "data"
    disk = DataDisk("paspor", data, 4 * MIB, metrics, lambda: told.append(disk.low))
    task = asyncio.create_task(disk.run())
    await until(lambda: disk.free_bytes, "it has looked")
    assert disk.low == ""
    small_disk.fill(leave_bytes=2 * MIB)
    await until(lambda: disk.low, "it is told")
    assert told == [disk.low]
    assert str(data) in disk.low
    assert disk.free_bytes <= 2 * MIB
    assert 'saling_disk_low{service="paspor"} 1.0' in metrics.text().decode()
    (found,) = disk_findings("service paspor", data, 4 * MIB)
    assert (found.level, "below the floor of 4.0 MiB" in found.found) == (Level.WARN, True)
    task.cancel()
    await asyncio.wait({task})


def test_the_doctor_says_how_much_room_there_is(tmp_path: Path) -> None:
    (found,) = disk_findings("service paspor", tmp_path / "data", 0)
    assert found.level is Level.OK
    assert "the floor is 0 KiB" in found.found
