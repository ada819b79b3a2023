"""What the agent does about its guard: it keeps one alive, and hands leases on to it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from agents.core.actions import PermitLease
from agents.core.events import EngineExited, GuardState
from agents.core.model import Permit
from agents.guard.client import EngineExit
from agents.metrics import Metrics
from agents.replica.jobs import Fresh
from agents.replica.jumps import Jumps
from agents.replica.keeper import Keeper
from tests.agents.guard.bench import unfenced
from tests.agents.guard.test_clocks import Host as HostClocks
from tests.agents.replica.bench import FakeEngine, FakeGuard

Until = Callable[[Callable[[], object], str], Awaitable[None]]


@pytest.fixture
async def sleeper() -> AsyncIterator[asyncio.subprocess.Process]:
    code = "import sys; sys.stdin.read()"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code), stdin=asyncio.subprocess.PIPE
    )
    yield process
    if process.returncode is None:
        process.kill()
    await process.wait()
    process._transport.close()  # type: ignore[attr-defined]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("batam-1", "batam")


async def test_a_dead_guard_is_replaced_before_its_engines_end_is_told(
    sleeper: asyncio.subprocess.Process, metrics: Metrics, until: Until
) -> None:
    guard, engine, told = FakeGuard(sleeper.pid), FakeEngine(), list[Any]()
    fresh = Fresh()
    keeper = Keeper("paspor", guard, engine, told.append, fresh, metrics, unfenced())  # type: ignore[arg-type]
    task = asyncio.create_task(keeper.run())
    await until(lambda: told, "the guard's word")
    assert told == [GuardState(Permit.LEASED, 9000, True, True)]
    guard.gone = True
    sleeper.kill()
    await until(lambda: len(told) == 3, "its end")
    assert told[1] == GuardState(Permit.CLOSED, 9000, False, False)
    assert told[2] == EngineExited("the guard died", False)
    assert engine.did[0] == "end_processes", "what outlived the guard is ended first"
    task.cancel()


async def test_an_exit_whose_event_was_lost_is_noticed(
    sleeper: asyncio.subprocess.Process, metrics: Metrics, until: Until
) -> None:
    guard, told = FakeGuard(sleeper.pid), list[Any]()
    keeper = Keeper("paspor", guard, FakeEngine(), told.append, Fresh(), metrics, unfenced())  # type: ignore[arg-type]
    task = asyncio.create_task(keeper.run())
    await until(lambda: told, "the guard's word")
    guard.engine = None
    await until(lambda: len(told) == 2, "the exit")
    assert told[1].reason.startswith("killed by signal 9")
    task.cancel()


async def test_a_deadline_that_the_guard_kept_is_told_as_a_fence(
    sleeper: asyncio.subprocess.Process, metrics: Metrics
) -> None:
    guard, told = FakeGuard(sleeper.pid), list[Any]()
    Keeper("paspor", guard, FakeEngine(), told.append, Fresh(), metrics, unfenced())  # type: ignore[arg-type]
    guard.tell(EngineExit(137, 12, "deadline"))
    assert told[0].fenced
    assert 'saling_fences_total{reason="deadline",service="paspor"} 1.0' in metrics.text().decode()


async def test_a_permit_that_was_not_extended_makes_the_rules_hear_what_is_in_force(
    sleeper: asyncio.subprocess.Process, metrics: Metrics, until: Until
) -> None:
    guard, told = FakeGuard(sleeper.pid), list[Any]()
    keeper = Keeper("paspor", guard, FakeEngine(), told.append, Fresh(), metrics, unfenced())  # type: ignore[arg-type]
    task = asyncio.create_task(keeper.run())
    await until(lambda: told, "the guard's word")
    await keeper.allow_until(PermitLease(12_000))
    await until(lambda: len(told) == 2, "what is in force")
    assert isinstance(told[1], GuardState)
    await keeper.allow_alone()
    task.cancel()


async def test_a_new_guard_gets_a_lease_of_before_a_pause_that_is_shorter_by_it(
    sleeper: asyncio.subprocess.Process, metrics: Metrics, until: Until
) -> None:
    """The first one sees by itself what jumps, and is told of nothing."""
    guard, told, hosts = FakeGuard(sleeper.pid), list[Any](), HostClocks()
    guard.takes_leases = True
    engine, jumps = FakeEngine(), Jumps(hosts.clocks)
    keeper = Keeper("paspor", guard, engine, told.append, Fresh(), metrics, unfenced(), jumps)  # type: ignore[arg-type]
    task = asyncio.create_task(keeper.run())
    await until(lambda: told, "the guard's word")
    lease = PermitLease(90_000, 90_500, hosts.now.boottime_ms, 15_000)
    await keeper.allow_until(lease)
    hosts.turn(50, 50, 3050)
    await keeper.allow_until(lease)
    assert guard.leases == [90_000, 90_000]
    guard.gone = True
    sleeper.kill()
    await until(lambda: len(told) == 3, "another guard")
    await keeper.allow_until(lease)
    assert guard.leases == [90_000, 90_000, 87_000]
    hosts.read(50, 50, 50, blur=40)
    await keeper.allow_until(lease)
    assert guard.leases[-1] == 0, "a reading that may hide a jump leaves nothing of it"
    task.cancel()


async def test_a_new_guard_gets_no_lease_before_it_was_told_its_fences(
    sleeper: asyncio.subprocess.Process, metrics: Metrics, until: Until
) -> None:
    guard, told = FakeGuard(sleeper.pid), list[Any]()
    guard.takes_leases = True
    fresh = Fresh()
    keeper = Keeper("paspor", guard, FakeEngine(), told.append, fresh, metrics, unfenced())  # type: ignore[arg-type]
    task = asyncio.create_task(keeper.run())
    await until(lambda: told, "the guard's word")
    guard.may_be_told.clear()
    guard.gone = True
    sleeper.kill()
    await until(lambda: guard.pid == os.getpid(), "another guard")
    await keeper.allow_until(PermitLease(90_000, 90_500, 1, 15_000))
    assert guard.leases == []
    guard.may_be_told.set()
    await until(lambda: fresh.guarded, "its fences are known")
    await keeper.allow_until(PermitLease(90_000, 90_500, 1, 15_000))
    assert len(guard.leases) == 1
    task.cancel()


async def test_a_guard_that_does_not_answer_to_a_fence_is_ended_with_its_engine(
    sleeper: asyncio.subprocess.Process, metrics: Metrics, until: Until
) -> None:
    guard, engine, told = FakeGuard(sleeper.pid), FakeEngine(), list[Any]()
    keeper = Keeper("paspor", guard, engine, told.append, Fresh(), metrics, unfenced())  # type: ignore[arg-type]
    task = asyncio.create_task(keeper.run())
    await until(lambda: told, "the guard's word")
    guard.busy = True
    closing = asyncio.create_task(keeper.close())
    await asyncio.wait_for(sleeper.wait(), 30)
    guard.busy, guard.gone = False, True
    await asyncio.wait_for(closing, 30)
    assert "end_processes" in engine.did
    task.cancel()


async def test_a_guard_that_stands_still_is_told_and_then_ended_without_a_fence(
    sleeper: asyncio.subprocess.Process, metrics: Metrics, until: Until
) -> None:
    guard, engine, told = FakeGuard(sleeper.pid), FakeEngine(), list[Any]()
    keeper = Keeper("paspor", guard, engine, told.append, Fresh(), metrics, unfenced())  # type: ignore[arg-type]
    task = asyncio.create_task(keeper.run())
    await until(lambda: told, "the guard's word")
    guard.busy = True
    await until(lambda: "does not answer" in keeper.problem, "it is told")
    await asyncio.wait_for(sleeper.wait(), 30)
    guard.busy, guard.gone = False, True
    await until(lambda: EngineExited("the guard died", False) in told, "its end is told")
    await until(lambda: not keeper.problem, "there is a guard again")
    assert "end_processes" in engine.did
    task.cancel()
