"""Jobs, looks and the guard's keeper around one engine, with scripted doubles."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agents.core.actions import BeginJob
from agents.core.events import JobEnded, Probed
from agents.core.model import JobKind
from agents.core.observation import ProbeKind
from agents.engines.base import EngineBusy, EngineError, LogSource
from agents.metrics import Metrics
from agents.replica import jobs as jobs_module
from agents.replica import watch as watch_module
from agents.replica.jobs import Fresh, Jobs, Wiring, slot_name
from agents.replica.mailbox import Seen
from agents.replica.turns import Turns
from agents.replica.watch import Watch
from protocol.messages import Partner
from tests.agents.replica.bench import FakeEngine

Until = Callable[[Callable[[], object], str], Awaitable[None]]
PARTNER = Partner("ikn-1", "10.0.0.1:8701", "10.0.0.1:5432", "")


def no_log(service: str, partner: Partner, revision: int) -> LogSource:
    raise AssertionError("no log is taken here")


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


def test_slot_names_fit_postgresql_and_differ() -> None:
    assert slot_name("batam-1") == "saling_batam_1"
    long = ["a" * 62 + "1", "a" * 62 + "2"]
    assert len({slot_name(name) for name in long}) == 2
    assert all(len(slot_name(name)) <= 63 for name in long)
