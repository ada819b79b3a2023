"""What stands beside a copy, whose turn it is to copy, how long it takes, who is stranded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agents.core.actions import BeginJob
from agents.core.model import Durable, JobKind, Replica
from agents.core.observation import Observation
from agents.engines.base import Aside, EngineBusy, LogSource, Progress, Quarantined, Upstream
from agents.metrics import Metrics
from agents.replica import aside as aside_module
from agents.replica import stranded as stranded_module
from agents.replica import turns as turns_module
from agents.replica.aside import AsideKeeper
from agents.replica.jobs import Fresh, Jobs, Wiring
from agents.replica.pace import MIB, Pace
from agents.replica.stranded import Stranded
from agents.replica.turns import Turns
from protocol.messages import Goal, Partner, Role
from tests.agents.core.given import PARTNERS, B, order

Until = Callable[[Callable[[], object], str], Awaitable[None]]
KEPT = Quarantined(Path("/q/x"), 12, 4096, "12 transactions are kept in /q/x")
UPSTREAM = Upstream("10.0.0.2:5432", "saling_a", "a")


def no_log(service: str, partner: Partner, revision: int) -> LogSource:
    raise AssertionError("no log is taken here")


def backup(**seen: Any) -> Replica:
    looks: dict[str, Any] = {
        "role": Role.STANDBY,
        "streaming": True,
        "upstream": PARTNERS[B].engine_address,
    }
    durable = Durable(assignment=order(Goal.BACKUP))
    return Replica("a", "paspor", "u", "1", 0, durable, observation=Observation(**looks | seen))


class FakeEngine:
    """Says what it was told to say."""

    def __init__(self) -> None:
        self.found = Aside((KEPT,), (Path("/d/data.old-1"),), (Path("/d/data.kept-1"),))
        self.forgot = self.asked = 0
        self.why = ""
        self.error: Exception | None = None

    async def aside(self) -> Aside:
        return self.found

    async def forget_old_copy(self) -> None:
        self.forgot += 1
        self.found = Aside(self.found.quarantines)

    async def stranded(self, upstream: Upstream) -> str:
        self.asked += 1
        if self.error:
            raise self.error
        return self.why


def fresh() -> Fresh:
    made = Fresh()
    made.guarded = True
    return made


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("batam-1", "batam")


def keeper(engine: FakeEngine, replica: Replica, metrics: Metrics, removes: bool) -> AsideKeeper:
    return AsideKeeper("paspor", engine, lambda: replica, fresh(), metrics, removes)  # type: ignore[arg-type]


async def run_until(part: Any, until: Until, holds: Callable[[], object], what: str) -> None:
    task = asyncio.create_task(part.run())
    await until(holds, what)
    task.cancel()


async def test_what_is_in_quarantine_is_told_and_measured(
    metrics: Metrics, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = keeper(FakeEngine(), backup(streaming=False), metrics, removes=True)
    await run_until(part, until, lambda: part.quarantine, "the quarantine is told")
    assert "12 transactions are kept in /q/x" in part.quarantine
    assert "/d/data.kept-1" in part.quarantine
    text = metrics.text().decode()
    assert 'saling_quarantine_transactions{service="paspor"} 12.0' in text
    assert 'saling_old_copies{service="paspor"} 2.0' in text


async def test_an_old_copy_goes_when_the_new_one_has_streamed_for_a_while(
    metrics: Metrics, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside_module, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(aside_module, "STREAMS_FOR_S", 0.05)
    engine = FakeEngine()
    part = keeper(engine, backup(), metrics, removes=True)
    await run_until(part, until, lambda: engine.forgot, "the old copy goes")
    assert engine.found.quarantines == (KEPT,)


@pytest.mark.parametrize(
    ("seen", "removes"),
    [({"streaming": False}, True), ({"role": Role.PRIMARY}, False), ({}, False)],
)
async def test_an_old_copy_stays_while_the_new_one_is_not_trusted_or_without_consent(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch, seen: dict[str, Any], removes: bool
) -> None:
    monkeypatch.setattr(aside_module, "STREAMS_FOR_S", 0.0)
    engine = FakeEngine()
    part = keeper(engine, backup(**seen), metrics, removes)
    for _ in range(3):
        await part._look()
    assert engine.forgot == 0


def doubt(engine: FakeEngine, replica: Replica, state: Fresh) -> Stranded:
    return Stranded("paspor", engine, lambda: replica, lambda *_: UPSTREAM, state)  # type: ignore[arg-type]


async def test_a_backup_that_does_not_stream_is_doubted_until_something_happens(
    until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stranded_module, "PATIENCE_S", 0.0)
    monkeypatch.setattr(stranded_module, "ASK_EVERY_S", 0.0)
    monkeypatch.setattr(stranded_module, "STEP_S", 0.01)
    engine, state = FakeEngine(), fresh()
    engine.error = EngineBusy("the upstream cannot be reached")
    part = doubt(engine, backup(streaming=False), state)
    task = asyncio.create_task(part.run())
    await until(lambda: engine.asked > 1, "it asks again")
    assert part.reason == ""
    engine.error, engine.why = None, "the log is gone"
    await until(lambda: part.reason, "it knows")
    assert state.changed.is_set()
    state.renew()
    assert part.reason == ""
    task.cancel()


async def test_nobody_is_asked_about_a_copy_that_streams_or_follows_another() -> None:
    assert doubt(FakeEngine(), backup(), fresh())._doubted() is None
    strange = backup(streaming=False, upstream="10.9.9.9:5432")
    assert doubt(FakeEngine(), strange, fresh())._doubted() is None
    assert doubt(FakeEngine(), backup(streaming=False), fresh())._doubted() == UPSTREAM


async def test_copies_from_one_partner_come_one_after_the_other_and_say_for_whom_they_wait(
    until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns_module, "TELL_EVERY_S", 0.01)
    turns, order_of, told, may_end = Turns(), list[str](), list[str](), asyncio.Event()

    async def copy(service: str, partner: str) -> None:
        async with turns.turn(partner, service, told.append):
            order_of.append(service)
            await may_end.wait()

    first = asyncio.create_task(copy("paspor", "ikn-1"))
    await asyncio.sleep(0)
    given_up = asyncio.create_task(copy("pajak", "ikn-1"))
    third = asyncio.create_task(copy("visa", "ikn-1"))
    other = asyncio.create_task(copy("cuti", "batam-1"))
    await until(lambda: len(told) > 1, "those behind say so")
    assert told[0] == "waiting: paspor is being copied from ikn-1 first"
    assert sorted(order_of) == ["cuti", "paspor"]
    given_up.cancel()
    may_end.set()
    await asyncio.wait_for(asyncio.gather(first, third, other), 30)
    assert order_of[-1] == "visa"
    async with turns.turn("ikn-1", "haji", told.append):
        pass


def test_progress_says_how_fast_and_how_long_still() -> None:
    pace = Pace()

    def at(second: float, mib: int) -> str:
        return pace.text(Progress("copying the upstream", mib * MIB, 4000 * MIB), second)

    assert at(0, 0) == "copying the upstream: 0 of 4000 MiB"
    assert at(4, 140) == "copying the upstream: 140 of 4000 MiB, 35 MiB/s, about 2 min left"
    assert at(60, 140).endswith("of 4000 MiB")
    assert pace.text(Progress("rewinding"), 61) == "rewinding"


async def test_a_promotion_lets_the_slot_of_the_old_primary_stand_first(metrics: Metrics) -> None:
    did: list[str] = []

    class Engine:
        async def set_sync(self, name: str | None) -> None: ...

        async def ensure_slot(self, name: str) -> None:
            did.append(name)
            raise EngineBusy("no answer in time")

        async def promote(self, timeout_ms: int) -> None:
            did.append("promote")

    wiring = Wiring("batam-1", "u", lambda address: address, no_log)
    async with asyncio.TaskGroup() as group:
        jobs = Jobs("paspor", Engine(), wiring, did.append, Fresh(), metrics, group, Turns())  # type: ignore[arg-type]
        jobs.begin(BeginJob(1, JobKind.PROMOTE, PARTNERS[B]), 5000)
    assert did[0] == f"saling_{B.replace('-', '_')}"
    assert did[1] == "promote"
