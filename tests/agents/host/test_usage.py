"""What a host uses, read from files as the kernel writes them."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agents.engines.base import EngineBusy
from agents.host import usage as module
from agents.host.usage import Busy, UsageWatch, host_used_ms, look, millicores, storage_bytes

Until = Callable[[Callable[[], object], str], Awaitable[None]]
MIB = 2**20
TICK_MS = 1000 // os.sysconf("SC_CLK_TCK")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    made = tmp_path / "proc"
    (made / "self").mkdir(parents=True)
    (made / "self/cgroup").write_text("4:memory:/x\n0::/system.slice/saling.service\n")
    (made / "stat").write_text("cpu  100 20 30 4000 500 6 7 8 99 9\ncpu0 1 1 1 1\n")
    (made / "meminfo").write_text("MemTotal: 8192 kB\nMemFree: 1 kB\nMemAvailable: 6144 kB\n")
    return made


@pytest.fixture
def group(tmp_path: Path) -> Path:
    made = tmp_path / "cgroup/system.slice/saling.service"
    made.mkdir(parents=True)
    (made / "cpu.max").write_text("max 100000\n")
    (made / "memory.max").write_text("max\n")
    (made / "cpu.stat").write_text("usage_usec 5000000\nuser_usec 1\n")
    (made / "memory.current").write_text(f"{9 * MIB}\n")
    (made / "memory.stat").write_text(f"anon 5\ninactive_file {4 * MIB}\n")
    return made


def seen(proc: Path, tmp_path: Path) -> tuple[int, int]:
    busy, memory_bytes, _ = look((tmp_path,), proc, tmp_path / "cgroup")
    return busy.used_ms, memory_bytes


def test_without_limits_of_its_own_it_is_what_the_whole_host_uses(
    proc: Path, group: Path, tmp_path: Path
) -> None:
    """Neither idle time, nor waiting for a disk, nor a guest's time twice."""
    assert seen(proc, tmp_path) == ((100 + 20 + 30 + 6 + 7 + 8) * TICK_MS, 2 * MIB)


@pytest.mark.parametrize("limited", ["cpu.max", "memory.max"])
def test_with_limits_of_its_own_it_is_what_runs_within_them(
    proc: Path, group: Path, tmp_path: Path, limited: str
) -> None:
    (group / limited).write_text("200000 100000\n")
    assert seen(proc, tmp_path) == (5000, 5 * MIB)


def test_a_host_with_the_first_version_of_control_groups_is_the_whole_host(
    proc: Path, tmp_path: Path
) -> None:
    (proc / "self/cgroup").write_text("4:memory:/x\n1:cpu:/\n")
    assert seen(proc, tmp_path)[1] == 2 * MIB


def test_processors_are_thousandths_of_a_core_between_two_looks() -> None:
    assert millicores(Busy(1000, 0), Busy(26_000, 10_000)) == 2500
    assert millicores(Busy(1000, 0), Busy(900, 10_000)) == 0
    assert millicores(Busy(1000, 5), Busy(2000, 5)) == 0


def test_each_file_system_counts_once(tmp_path: Path) -> None:
    once = storage_bytes((tmp_path,))
    assert once > 0
    assert storage_bytes((tmp_path / "paspor/data", tmp_path / "visa/data")) == pytest.approx(
        once, rel=0.05
    )
    assert storage_bytes(()) == 0


def test_this_very_host_can_be_looked_at(tmp_path: Path) -> None:
    busy, memory_bytes, storage = look((tmp_path,))
    assert min(busy.used_ms, memory_bytes, storage) > 0
    assert host_used_ms(Path("/proc")) > 0


class FakeEngine:
    """An engine with so many clients; None: it does not answer."""

    def __init__(self, clients: int | None) -> None:
        self._clients = clients

    async def connections(self) -> int:
        if self._clients is None:
            raise EngineBusy("no answer")
        return self._clients


async def test_clients_of_all_engines_are_counted_and_a_silent_one_counts_nothing(
    tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_LOOK_S", 0.01)
    engines = [FakeEngine(3), FakeEngine(None), FakeEngine(4)]
    watch = UsageWatch((tmp_path,), engines)  # type: ignore[arg-type]
    assert watch.usage is None
    task = asyncio.create_task(watch.run())
    await until(lambda: watch.usage, "two looks")
    task.cancel()
    await asyncio.wait({task})
    assert watch.usage is not None
    assert watch.usage.connections == 7
    assert watch.usage.memory_bytes > 0


async def test_a_host_that_cannot_be_looked_at_keeps_what_was_known_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise ValueError("odd file")

    monkeypatch.setattr(module, "look", fail)
    watch = UsageWatch((tmp_path,), [])
    task = asyncio.create_task(watch.run())
    await asyncio.sleep(0.05)
    assert not task.done()
    assert watch.usage is None
    task.cancel()
    await asyncio.wait({task})


async def test_what_was_seen_before_a_disk_hung_ends_after_a_while(
    tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_LOOK_S", 0.01)
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.01)
    disk, hangs, now_s = threading.Event(), threading.Event(), 0.0

    def hang(_: object) -> tuple[Busy, int, int]:
        if watch.usage is not None:
            hangs.set()
            disk.wait()
        return Busy(1, time.monotonic_ns()), 2, 3

    monkeypatch.setattr(module, "look", hang)
    watch = UsageWatch((tmp_path,), [], lambda: now_s)
    task = asyncio.create_task(watch.run())
    try:
        await until(hangs.is_set, "a look that hangs")
        now_s = module.KEPT_S
        assert watch.usage is not None
        now_s += 0.001
        assert watch.usage is None
    finally:
        disk.set()
    await until(lambda: watch.usage, "it is known again")
    task.cancel()
    await asyncio.wait({task})
