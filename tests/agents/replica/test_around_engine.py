"""Jobs, looks and the guard's keeper around one engine, with scripted doubles."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from agents.core.actions import BeginJob, PermitLease
from agents.core.events import EngineExited, GuardState, JobEnded, Probed
from agents.core.model import JobKind, Permit
from agents.core.observation import Observation, Probe, ProbeKind
from agents.engines.base import EngineBusy, EngineError, LogSource
from agents.guard.client import (
    EngineExit,
    GuardBusy,
    GuardGone,
    GuardStatus,
    LayerStatus,
    RunningEngine,
)
from agents.metrics import Metrics
from agents.replica import jobs as jobs_module
from agents.replica import watch as watch_module
from agents.replica.jobs import Fresh, Jobs, Wiring, slot_name
from agents.replica.keeper import Keeper
from agents.replica.mailbox import Seen
from agents.replica.turns import Turns
from agents.replica.watch import Watch
from protocol.messages import Partner, Role
from tests.agents.guard.bench import unfenced

Until = Callable[[Callable[[], object], str], Awaitable[None]]
PARTNER = Partner("ikn-1", "10.0.0.1:8701", "10.0.0.1:5432", "")


def no_log(service: str, partner: Partner, revision: int) -> LogSource:
    raise AssertionError("no log is taken here")


class FakeEngine:
    """Does what the test says; records the order."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.error: Exception | None = None
        self.seen = Observation(role=Role.STANDBY, streaming=True)
        self.looking = asyncio.Event()
        self.may_look = asyncio.Event()
        self.may_look.set()
        self.probe_takes = asyncio.Event()
        self.probe_takes.set()

    async def _do(self, what: str) -> None:
        self.did.append(what)
        if self.error:
            raise self.error

    async def observe(self) -> Observation:
        self.looking.set()
        await self.may_look.wait()
        if self.error:
            raise self.error
        return self.seen

    async def probe(self, timeout_ms: int) -> Probe:
        await self.probe_takes.wait()
        if self.error:
            raise self.error
        return Probe(ProbeKind.COMMITTED, 42)

    async def set_sync(self, name: str | None) -> None:
        await self._do(f"sync {name}")

    async def promote(self, timeout_ms: int) -> None:
        await self._do("promote")

    async def stop(self, timeout_ms: int) -> None:
        await self._do("stop")

    async def kill(self) -> int:
        self.did.append("kill")
        return 0

    async def end_processes(self) -> int:
        self.did.append("end_processes")
        return 0

    async def ensure_slot(self, name: str) -> None:
        await self._do(f"slot {name}")

    async def rejoin(self, upstream: Any, on_progress: Any, turn: Any) -> None:
        await self._do(f"rejoin {upstream.address} {upstream.slot} {upstream.application_name}")

    async def drain(self, timeout_ms: int) -> int:
        await self._do(f"drain {timeout_ms}")
        return 77


class FakeGuard:
    """A guard whose process is a real sleeping one."""

    def __init__(self, pid: int) -> None:
        self.pid = self._first_pid = pid
        self.engine: RunningEngine | None = RunningEngine(4711, True, "")
        self.permission = "leased"
        self.gone = self.busy = False
        self.closes = 0
        self.tell: Callable[[Any], None] = lambda _: None

    def add_listener(self, listener: Callable[[Any], None]) -> None:
        self.tell = listener

    async def status(self, timeout_ms: int = 1) -> GuardStatus:
        if self.gone:
            raise GuardGone("none")
        if self.busy:
            raise GuardBusy("no answer")
        last = EngineExit(137, 5, "exited")
        return GuardStatus(
            self.pid, "", "plain", True, True, self.permission, 9000, 1000, self.engine, last, None
        )

    async def ensure_running(self) -> GuardStatus:
        self.gone, self.permission, self.engine = False, "closed", None
        self.pid = os.getpid()
        return await self.status()

    async def fences(self, timeout_ms: int = 1, **_: object) -> tuple[LayerStatus, ...]:
        return ()

    async def lease(self, deadline_ms: int, timeout_ms: int = 1, **more: int) -> int:
        raise GuardBusy("no answer")

    async def alone(self) -> None:
        raise GuardGone("none")

    def end(self) -> None:
        os.kill(self._first_pid, signal.SIGKILL)

    async def close_permission(self, timeout_ms: int = 1) -> int:
        self.closes += 1
        if self.gone:
            raise GuardGone("none")
        if self.busy:
            raise GuardBusy("no answer")
        return 1


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


async def carried_out(
    engine: FakeEngine, metrics: Metrics, job: BeginJob
) -> tuple[JobEnded, Fresh]:
    told: list[Any] = []
    fresh = Fresh()
    wiring = Wiring(
        "batam-1", "saling_replication", lambda a: a.replace("10.0.0.1", "127.0.0.1"), no_log
    )
    async with asyncio.TaskGroup() as group:
        Jobs("paspor", engine, wiring, told.append, fresh, metrics, group, Turns()).begin(job, 5000)  # type: ignore[arg-type]
        assert fresh.busy
    return told[-1], fresh


async def test_a_job_ends_in_an_event_and_makes_older_looks_stale(metrics: Metrics) -> None:
    engine = FakeEngine()
    ended, fresh = await carried_out(engine, metrics, BeginJob(3, JobKind.DRAIN))
    assert ended == JobEnded(3, JobKind.DRAIN, "", 77)
    assert engine.did == ["drain 5000"]
    assert (fresh.busy, fresh.count) == (False, 1)


async def test_a_promotion_first_says_whom_commits_wait_for(metrics: Metrics) -> None:
    engine = FakeEngine()
    job = BeginJob(1, JobKind.PROMOTE, sync_with="ikn-1")
    await carried_out(engine, metrics, job)
    assert engine.did == ["sync ikn-1", "promote"]


async def test_a_standby_is_stopped_before_it_is_rejoined_at_the_reached_address(
    metrics: Metrics,
) -> None:
    engine = FakeEngine()
    await carried_out(engine, metrics, BeginJob(1, JobKind.REJOIN, PARTNER, "7"))
    assert engine.did == ["stop", "rejoin 127.0.0.1:5432 saling_batam_1 batam-1"]


@pytest.mark.parametrize(
    "error",
    [
        EngineError("disk full: free space"),
        EngineBusy("later"),
        OSError(28, "No space left"),
        KeyError("x"),
    ],
)
async def test_every_error_of_a_job_becomes_its_text(metrics: Metrics, error: Exception) -> None:
    engine = FakeEngine()
    engine.error = error
    ended, _ = await carried_out(engine, metrics, BeginJob(1, JobKind.PROMOTE))
    assert ended.error
    assert "saling_jobs_total" in metrics.text().decode()


async def test_texts_of_engines_never_grow_beyond_what_a_report_may_hold(metrics: Metrics) -> None:
    engine = FakeEngine()
    engine.error = EngineError("x" * 100_000)
    ended, _ = await carried_out(engine, metrics, BeginJob(1, JobKind.PROMOTE))
    assert len(ended.error) <= 1000


async def test_a_probe_that_hangs_ends_in_a_timeout(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "PROBE_GRACE_S", 0.0)
    told: list[Any] = []
    engine = FakeEngine()
    engine.probe_takes.clear()
    wiring = Wiring("batam-1", "u", lambda a: a, no_log)
    async with asyncio.TaskGroup() as group:
        jobs = Jobs("paspor", engine, wiring, told.append, Fresh(), metrics, group, Turns())  # type: ignore[arg-type]
        jobs.begin_probe(20)
    assert isinstance(told[0], Probed)
    assert told[0].probe.kind is ProbeKind.TIMEOUT


async def test_a_probe_of_an_engine_that_is_gone_tells_nothing(metrics: Metrics) -> None:
    told: list[Any] = []
    engine = FakeEngine()
    engine.probe_takes.clear()
    wiring = Wiring("batam-1", "u", lambda a: a, no_log)
    async with asyncio.TaskGroup() as group:
        jobs = Jobs("paspor", engine, wiring, told.append, Fresh(), metrics, group, Turns())  # type: ignore[arg-type]
        jobs.begin_probe(10_000)
        await asyncio.sleep(0)
        jobs.forget_probe()
    assert told == []


async def test_a_look_is_dropped_when_something_happened_meanwhile(until: Until) -> None:
    engine, fresh, told = FakeEngine(), Fresh(), list[Seen]()
    fresh.guarded = True
    engine.may_look.clear()
    watch = Watch("paspor", engine, lambda a: f"declared {a}", told.append, fresh)  # type: ignore[arg-type]
    task = asyncio.create_task(watch.run())
    await engine.looking.wait()
    fresh.renew()
    engine.may_look.set()
    await until(lambda: told, "another look")
    assert told[0].look == 1
    assert told[0].observation.upstream == "declared "
    task.cancel()


async def test_nobody_looks_while_a_job_is_under_way(until: Until) -> None:
    engine, fresh, told = FakeEngine(), Fresh(), list[Seen]()
    fresh.guarded = fresh.busy = True
    task = asyncio.create_task(
        Watch("paspor", engine, lambda a: a, told.append, fresh).run()  # type: ignore[arg-type]
    )
    fresh.changed.set()
    await asyncio.sleep(0)
    assert not engine.looking.is_set()
    fresh.busy = False
    fresh.renew()
    await until(lambda: told, "a look after the job")
    task.cancel()


async def test_a_standby_that_shows_nothing_does_not_count_as_streaming(
    until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "BLIND_S", 0.0)
    engine, fresh, told = FakeEngine(), Fresh(), list[Seen]()
    fresh.guarded = True
    watch = Watch("paspor", engine, lambda a: a, told.append, fresh)  # type: ignore[arg-type]
    task = asyncio.create_task(watch.run())
    await until(lambda: told, "a look")
    assert told[-1].observation.streaming
    engine.error = EngineBusy("frozen")
    await until(lambda: not told[-1].observation.streaming, "blind")
    assert watch.problem == "frozen"
    task.cancel()


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


def test_slot_names_fit_postgresql_and_differ() -> None:
    assert slot_name("batam-1") == "saling_batam_1"
    long = ["a" * 62 + "1", "a" * 62 + "2"]
    assert len({slot_name(name) for name in long}) == 2
    assert all(len(slot_name(name)) <= 63 for name in long)
