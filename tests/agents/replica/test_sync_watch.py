"""What a primary's agent tells of settings and cancelled waits that weaken sync mode."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
from msgspec.structs import replace

from agents.core.model import Durable, Replica
from agents.core.observation import Observation
from agents.engines.base import Engine, EngineBusy, Waits
from agents.replica import sync_watch
from agents.replica.jobs import Fresh
from agents.replica.sync_watch import SyncWatch
from protocol.messages import Assignment, Goal, LeaseTerms, Partner, Right, Role

Until = Callable[[Callable[[], object], str], Awaitable[None]]
PARTNER = Partner("ikn-1", "10.0.0.1:8701", "10.0.0.1:5432", "")
ORDER = Assignment(
    "paspor", "uid", 1, 5, 1, Goal.PRIMARY, Right.LEASED, "batam-1", (), 1,
    LeaseTerms(2000, 400, 300, 1000, 3000), partner=PARTNER, sync=True,
)  # fmt: skip
PRIMARY = Replica(
    "batam-1", "paspor", "uid", "life", 0, Durable(assignment=ORDER),
    observation=Observation(role=Role.PRIMARY),
)  # fmt: skip


class FakeEngine:
    """Answers what the test says."""

    def __init__(self) -> None:
        self.found = Waits()
        self.count = 0
        self.error: Exception | None = None
        self.looks = 0

    async def weakness(self) -> Waits:
        self.looks += 1
        if self.error:
            raise self.error
        return self.found

    async def cancelled_waits(self) -> int:
        if self.error:
            raise self.error
        return self.count


class Bench:
    """One replica and what watches it."""

    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.replica = PRIMARY
        self.fresh = Fresh()
        self.fresh.guarded = True
        self.reports = 0
        self.watch = SyncWatch(
            "paspor", cast(Engine, self.engine), lambda: self.replica, self.fresh, self._report
        )

    def _report(self) -> None:
        self.reports += 1


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(sync_watch, "POLL_S", 0.005)
    monkeypatch.setattr(sync_watch, "COUNT_EVERY_S", 0.01)
    monkeypatch.setattr(sync_watch, "LOOK_RETRY_S", 0.01)
    monkeypatch.setattr(sync_watch, "LOOK_EVERY_S", 0.02)
    return Bench()


async def test_what_is_found_is_told_at_once_and_gone_when_it_is_mended(
    bench: Bench, until: Until
) -> None:
    bench.engine.found = Waits(("role report has synchronous_commit = off",), "log is quiet")
    task = asyncio.create_task(bench.watch.run())
    await until(lambda: bench.watch.weakened, "it is told")
    assert (bench.watch.problem, bench.reports) == ("log is quiet", 1)
    bench.engine.found = Waits()
    await until(lambda: not bench.watch.weakened, "it is told no more")
    task.cancel()


@pytest.mark.parametrize(
    "other",
    [
        replace(PRIMARY, observation=Observation(role=Role.STANDBY)),
        replace(PRIMARY, durable=Durable(assignment=replace(ORDER, sync=False))),
    ],
    ids=["a standby", "no commit shall wait"],
)
async def test_only_a_primary_whose_commits_shall_wait_is_looked_at(
    bench: Bench, until: Until, other: Replica
) -> None:
    bench.engine.found = Waits(("fsync is off",))
    task = asyncio.create_task(bench.watch.run())
    await until(lambda: bench.watch.weakened, "it is told")
    bench.replica = other
    await until(lambda: not bench.watch.weakened, "it is told no more")
    looks = bench.engine.looks
    bench.engine.count = 1
    await until(lambda: bench.watch.cancelled == 1, "cancelled waits are counted all the same")
    assert bench.engine.looks == looks
    task.cancel()


async def test_an_engine_that_does_not_answer_changes_nothing(bench: Bench, until: Until) -> None:
    bench.engine.found, bench.engine.count = Waits(("fsync is off",)), 3
    task = asyncio.create_task(bench.watch.run())
    await until(lambda: bench.watch.weakened and bench.watch.cancelled == 3, "it is told")
    looks = bench.engine.looks
    bench.engine.error = EngineBusy("it does not answer")
    await until(lambda: bench.engine.looks > looks + 2, "it is looked at again")
    assert (bench.watch.weakened, bench.watch.cancelled) == ("fsync is off", 3)
    assert not task.done()
    task.cancel()
