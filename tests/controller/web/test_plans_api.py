"""Plans over the HTTP API: foreseen, begun once only, stored, shown and steered."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from controller.cli.plan_view import PlanView, lane_lines
from controller.cli.wire import read
from controller.core.foresight.preview import preview
from controller.core.model import Phase
from controller.core.plan_model import PlanStatus
from controller.leading import lead
from controller.web.app import create_app
from protocol.messages import Mode
from tests.controller.desk import A, B, Desk

BY = {"by": "siti", "reason": "new racks"}
EVACUATE = "sites/jabodetabek/evacuate"
PLAN = "evacuate-jabodetabek-1"
Client = TestClient[Any, Any]


@pytest.fixture
async def client(turning: Desk) -> AsyncIterator[Client]:
    app = create_app(turning.runtime, "1.0", lambda: b"", None)
    one: Client = TestClient(TestServer(app))
    await one.start_server()
    await turning.protect()
    turning.now_ms += 400
    turning.healthy(Mode.LEASED)
    heard_ms = turning.now_ms
    await turning.until(lambda: turning.state.services["paspor"].proven_ms == heard_ms)
    yield one
    await one.close()


async def post(
    client: Client, path: str, body: dict[str, Any], key: str = "k1"
) -> tuple[int, dict[str, Any]]:
    async with client.post(
        f"/api/v1/{path}", json=body, headers={"Idempotency-Key": key}
    ) as answer:
        return answer.status, await answer.json()


async def get(client: Client, path: str) -> tuple[int, dict[str, Any]]:
    async with client.get(f"/api/v1/{path}") as answer:
        return answer.status, await answer.json()


async def test_a_dry_run_shows_steps_outage_loss_and_room_and_changes_nothing(
    client: Client, turning: Desk
) -> None:
    status, answer = await post(client, EVACUATE, BY | {"dry_run": True})
    assert status == 200
    (step,) = [s for s in answer["preview"]["steps"] if s["service"] == "paspor"]
    assert (step["from_agent"], step["to_agent"], step["how"]) == (A, B, "switchover")
    assert step["outage_ms"] > 0
    assert step["loss_bytes"] == 0
    assert step["refused_now"] == ""
    assert answer["preview"]["takes_ms"] > 0
    assert turning.state.plan is None
    assert turning.store.plans(5).plans == []


async def test_a_dry_run_waits_for_no_other_forecast(
    client: Client, turning: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), threading.Event()
    loop, shipped = asyncio.get_running_loop(), preview

    def slow(*arguments: Any) -> Any:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(30)
        return shipped(*arguments)

    monkeypatch.setattr("controller.web.plans.preview", slow)
    first = asyncio.create_task(post(client, EVACUATE, BY | {"dry_run": True}))
    await begun.wait()
    status, told = await post(client, EVACUATE, BY | {"dry_run": True})
    assert (status, "another forecast" in told["error"]) == (503, True)
    status, _ = await get(client, "what-if?kill_controller=true")
    assert status == 503
    go_on.set()
    assert (await first)[0] == 200


async def test_an_evacuation_is_stored_begun_once_and_shown(client: Client, turning: Desk) -> None:
    first = await post(client, EVACUATE, BY)
    assert first[0] == 200
    assert first[1]["plan"] == PLAN
    assert await post(client, EVACUATE, BY) == first
    await turning.until(lambda: turning.record().phase is Phase.DRAINING)
    (stored,) = turning.store.plans(5).plans
    assert (stored.plan.by, stored.plan.reason) == ("siti", "new racks")
    assert stored.plan.begun_at_ms > 0
    _status, shown = await get(client, "plan")
    assert shown["plan"]["id"] == PLAN
    assert shown["plan"]["counts"]["moving"] == 1
    assert shown["plan"]["left_ms"] > 0
    _status, state = await get(client, "state")
    assert state["plan"]["id"] == PLAN
    _status, one = await get(client, f"plans/{PLAN}")
    assert "begins" in one["changes"][-1]["change"]["because"]
    told = [str(line) for line in lane_lines(read(one, PlanView, "plan"))]
    assert any(line.startswith(f"paspor moves to {B}: ") for line in told)
    assert [plan["id"] for plan in (await get(client, "plans"))[1]["plans"]] == [PLAN]


async def test_a_second_plan_is_a_conflict_and_says_which_is_under_way(client: Client) -> None:
    await post(client, EVACUATE, BY)
    status, answer = await post(client, "sites/batam/failback", BY, "k2")
    assert status == 409
    assert PLAN in answer["error"]
    assert "saling plan end" in answer["mend"]


async def test_a_plan_is_paused_resumed_and_ended_by_operators(
    client: Client, turning: Desk
) -> None:
    await post(client, EVACUATE, BY)
    assert (await post(client, "plan/pause", BY, "k2"))[0] == 200
    assert turning.store.plans(1).plans[0].plan.status is PlanStatus.PAUSED
    assert (await post(client, "plan/resume", BY | {"plan": PLAN}, "k3"))[0] == 200
    assert (await post(client, "plan/end", BY | {"plan": "other"}, "k4"))[0] == 409
    assert (await post(client, "plan/end", BY, "k5"))[0] == 200
    assert turning.store.plans(1).plans[0].plan.status is PlanStatus.ENDED
    assert (await get(client, "plan"))[1] == {"plan": None}
    assert (await post(client, "plan/end", BY, "k6"))[0] == 409


async def test_the_next_life_of_the_controller_takes_the_plan_up(
    client: Client, turning: Desk
) -> None:
    await post(client, EVACUATE, BY)
    stored = turning.store.plans(1).plans[0].plan
    state, _broken = lead(turning.store, turning.cluster.topology, lambda: turning.now_ms)
    assert state.plan == stored
    assert state.plan_memory.made == 1


async def test_what_is_not_known_or_not_said_is_refused(client: Client) -> None:
    status, answer = await post(client, "sites/nowhere/evacuate", BY)
    assert status == 404
    assert "jabodetabek" in answer["mend"]
    status, answer = await post(client, EVACUATE, {"by": "siti", "speed": 9})
    assert status == 422
    status, answer = await post(client, "sites/jabodetabek/failover", {"by": "siti"})
    assert status == 422
    assert answer["where"] == "body: reason"
    assert (await get(client, "plans/evacuate-batam-9"))[0] == 404


async def test_nothing_to_move_is_said_and_no_plan_is_made(client: Client, turning: Desk) -> None:
    status, answer = await post(client, "sites/jabodetabek/failback", BY)
    assert status == 200
    assert answer["plan"] == ""
    assert "nothing is to be done" in answer["text"]
    assert turning.store.plans(5).plans == []
