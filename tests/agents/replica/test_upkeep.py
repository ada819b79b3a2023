"""Upkeep and fitness beside an engine, with scripted doubles."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from msgspec.structs import replace

from agents.core.model import Durable, Replica
from agents.core.observation import Observation
from agents.engines.base import Engine, EngineBusy, EngineError, Upstream
from agents.replica import upkeep as upkeep_module
from agents.replica.jobs import Fresh, Wiring
from agents.replica.upkeep import Fitness, Upkeep
from protocol.messages import Assignment, Goal, LeaseTerms, Partner, Right, Role

Until = Callable[[Callable[[], object], str], Awaitable[None]]
PARTNER = Partner("ikn-1", "10.0.0.1:8701", "10.0.0.1:5432", "")
ORDER = Assignment(
    "paspor", "uid", 1, 5, 1, Goal.BACKUP, Right.LEASED, "ikn-1", (), 1,
    LeaseTerms(2000, 400, 300, 1000, 3000), partner=PARTNER,
)  # fmt: skip
STANDBY = Replica(
    "batam-1", "paspor", "uid", "life", 0, Durable(assignment=ORDER),
    observation=Observation(role=Role.STANDBY),
)  # fmt: skip
NOT_YET = "it is not compared with its upstream yet"


class FakeEngine:
    """Answers what the test says."""

    def __init__(self) -> None:
        self.found: tuple[str, ...] = ()
        self.error: Exception | None = None
        self.compared: list[str] = []
        self.tended = 0

    async def unfit(self, upstream: Upstream) -> tuple[str, ...]:
        self.compared.append(upstream.address)
        if self.error:
            raise self.error
        return self.found

    async def upkeep(self) -> None:
        self.tended += 1
        if self.error:
            raise self.error


class Bench:
    """One replica, its engine, and what the shell keeps beside them."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.engine = FakeEngine()
        self.replica = STANDBY
        self.fresh = Fresh()
        self.fresh.guarded = True
        self.reports = 0
        engine = cast(Engine, self.engine)
        wiring = Wiring("batam-1", "saling_replication", lambda a: f"via-{a}", cast(Any, None))
        self.fitness = Fitness(
            "paspor", engine, wiring, lambda: self.replica, self.fresh, self._report
        )
        self.upkeep = Upkeep("paspor", engine, lambda: self.replica, self.fresh)
        self.tasks = [group.create_task(self.fitness.run()), group.create_task(self.upkeep.run())]

    def _report(self) -> None:
        self.reports += 1

    def observed(self, role: Role) -> None:
        self.replica = replace(self.replica, observation=Observation(role=role))

    def end(self) -> None:
        for task in self.tasks:
            task.cancel()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POLL_S", "COMPARE_RETRY_S", "COMPARE_EVERY_S", "UPKEEP_EVERY_S"):
        monkeypatch.setattr(upkeep_module, name, 0.005)


async def on_bench(act: Callable[[Bench], Awaitable[Any]]) -> None:
    async with asyncio.TaskGroup() as group:
        bench = Bench(group)
        try:
            await act(bench)
        finally:
            bench.end()


async def test_a_standby_is_unfit_until_it_was_compared_with_its_upstream(until: Until) -> None:
    async def act(bench: Bench) -> None:
        assert bench.fitness.unfit == NOT_YET
        await until(lambda: bench.fitness.unfit == "", "compared")
        assert bench.engine.compared[0] == "via-10.0.0.1:5432"
        assert bench.reports == 1

    await on_bench(act)


async def test_what_does_not_match_is_told_and_taken_back_when_it_is_mended(until: Until) -> None:
    async def act(bench: Bench) -> None:
        bench.engine.found = ("max_connections: 1", "hstore: none")
        await until(lambda: bench.fitness.unfit == "max_connections: 1; hstore: none", "told")
        bench.engine.found = ()
        await until(lambda: bench.fitness.unfit == "", "taken back")

    await on_bench(act)


async def test_who_does_not_answer_keeps_a_new_standby_unfit_and_not_one_known_as_fit(
    until: Until,
) -> None:
    async def act(bench: Bench) -> None:
        bench.engine.error = EngineBusy("no answer")
        await until(lambda: bench.fitness.unfit == f"{NOT_YET}: no answer", "says why")
        bench.engine.error = None
        await until(lambda: bench.fitness.unfit == "", "compared")
        bench.engine.error = EngineBusy("no answer")
        count = len(bench.engine.compared)
        await until(lambda: len(bench.engine.compared) > count + 1, "asked again")
        assert bench.fitness.unfit == ""

    await on_bench(act)


async def test_after_a_restart_and_for_another_upstream_it_is_compared_anew(until: Until) -> None:
    async def act(bench: Bench) -> None:
        await until(lambda: bench.fitness.unfit == "", "compared")
        bench.engine.error = EngineBusy("no answer")
        bench.observed(Role.DOWN)
        assert bench.fitness.unfit == ""
        count = len(bench.engine.compared)
        await until(lambda: not bench.fitness._compared, "the end was noticed")
        bench.observed(Role.STANDBY)
        await until(lambda: len(bench.engine.compared) > count + 1, "asked again")
        assert bench.fitness.unfit.startswith(NOT_YET)

    await on_bench(act)


async def test_a_primary_is_compared_with_nobody(until: Until) -> None:
    async def act(bench: Bench) -> None:
        bench.observed(Role.PRIMARY)
        await until(lambda: bench.engine.tended > 2, "tended meanwhile")
        assert bench.fitness.unfit == ""
        assert bench.engine.compared == []

    await on_bench(act)


async def test_a_failed_upkeep_is_told_and_tried_again(until: Until) -> None:
    async def act(bench: Bench) -> None:
        bench.engine.error = EngineError("password_file: empty")
        await until(lambda: "password_file: empty" in bench.upkeep.problem, "told")
        bench.engine.error = None
        await until(lambda: bench.upkeep.problem == "", "done")

    await on_bench(act)


async def test_an_engine_that_is_down_or_at_work_is_left_alone(until: Until) -> None:
    async def act(bench: Bench) -> None:
        bench.fresh.busy = True
        await asyncio.sleep(0.05)
        assert (bench.engine.tended, bench.engine.compared) == (0, [])
        bench.fresh.busy = False
        await until(lambda: bench.engine.tended, "tended")

    await on_bench(act)
