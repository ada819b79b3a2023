"""Drills over the HTTP API: those that were, the report of each, and plans of long ago."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from controller.core.plan_model import Plan, PlanKind, PlanStatus, PlanStep, StepStatus
from controller.web import drills, plans
from controller.web.app import create_app
from controller.web.drills import DrillRoutes
from tests.controller.desk import A, B, Desk

MANY = 230
Client = TestClient[Any, Any]


@pytest.fixture
async def client(turning: Desk) -> AsyncIterator[Client]:
    more = DrillRoutes(turning.runtime).routes()
    app = create_app(turning.runtime, "1.0", lambda: b"", None, more=more)
    one: Client = TestClient(TestServer(app))
    await one.start_server()
    yield one
    await one.close()


async def get(client: Client, path: str) -> tuple[int, Any]:
    async with client.get(f"/api/v1/{path}") as answer:
        return answer.status, await answer.json()


async def kept(desk: Desk, number: int, kind: PlanKind = PlanKind.DRILL) -> str:
    """A plan that is over, in the store."""
    steps = tuple(
        PlanStep("paspor", "paspor", "", 0, there, to, StepStatus.DONE, "serves", 1, 800, leg,
                 "tinggi", 0)
        for leg, there, to in ((1, A, B), (2, B, A))
    )  # fmt: skip
    one = Plan(f"{kind.value}-batam-{number}", kind, "batam", "siti", "quarterly",
               PlanStatus.DONE, "all serve", steps, number=number)  # fmt: skip
    assert await desk.worker.call(desk.store.save_plan, one, 0, desk.state.term, ())
    return one.id


async def test_before_the_first_drill_it_is_said_how_one_is_made(client: Client) -> None:
    status, answer = await get(client, "drills/last")
    assert (status, answer["error"]) == (404, "no drill was made yet")
    assert "saling drill SITE" in answer["mend"]


async def test_a_report_is_found_however_many_other_plans_came_since(
    client: Client, turning: Desk
) -> None:
    drill = await kept(turning, 1)
    for number in range(2, MANY):
        await kept(turning, number, PlanKind.FAILBACK)
    for name in ("last", drill):
        status, report = await get(client, f"drills/{name}")
        assert (status, report["id"], report["services"][0]["service"]) == (200, drill, "paspor")
        assert report["markdown"].startswith("# Drill of batam: ")
    assert [one["id"] for one in (await get(client, "drills"))[1]["drills"]] == [drill]
    assert (await get(client, f"plans/{drill}"))[1]["id"] == drill


@pytest.mark.parametrize(
    ("path", "module", "name"),
    [("drills", drills, "report_of"), ("plans", plans, "_stored_view")],
)
async def test_many_plans_are_put_together_beside_the_event_loop(
    client: Client,
    turning: Desk,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    module: ModuleType,
    name: str,
) -> None:
    shipped, threads = getattr(module, name), set[threading.Thread]()

    def seen(*arguments: Any) -> Any:
        threads.add(threading.current_thread())
        return shipped(*arguments)

    monkeypatch.setattr(module, name, seen)
    await kept(turning, 1)
    assert (await get(client, path))[0] == 200
    assert threads and threading.current_thread() not in threads


async def test_a_drill_that_is_none_is_answered_with_those_that_are(
    client: Client, turning: Desk
) -> None:
    drill = await kept(turning, 1)
    other = await kept(turning, 2, PlanKind.EVACUATE)
    for name in (other, "drill-batam-9"):
        status, answer = await get(client, f"drills/{name}")
        assert (status, answer["mend"]) == (404, f"the newest drills are: {drill}")
