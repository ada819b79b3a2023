"""GET /api/v1/what-if: strict in what it takes, and nothing is touched by it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from controller.core.foresight import what_if as what_if_module
from controller.core.model import Phase
from controller.web import forecast as forecast_module
from tests.controller.desk import B, Desk
from tests.controller.web.test_api import Client, get, served

PATH = "/api/v1/what-if"


@pytest.fixture
async def client(turning: Desk) -> AsyncIterator[Client]:
    one = await served(turning)
    yield one
    await one.close()


async def test_the_loss_of_the_primarys_site_is_foreseen_and_nothing_moves(
    client: Client, turning: Desk
) -> None:
    await turning.protect()
    before = turning.record()
    site = next(r.site for r in turning.state.services["paspor"].spec.replicas if r.agent != B)
    status, told = await get(client, f"{PATH}?lose={site}&service=paspor")
    assert status == 200
    (one,) = told["services"]
    assert (told["all_served"], told["controller_lost"], one["primary"]) == (True, False, B)
    assert one["steps"][0]["change"]["to_phase"] == "COUNTDOWN"
    assert turning.record() == before
    assert turning.record().phase is Phase.PROTECTED


async def test_without_the_controller_nothing_is_foreseen_to_move(
    client: Client, turning: Desk
) -> None:
    await turning.protect()
    _status, told = await get(client, f"{PATH}?kill_controller=true&service=paspor")
    assert (told["controller_lost"], told["services"][0]["steps"]) == (True, [])


@pytest.mark.parametrize(
    ("query", "where", "words"),
    [
        ("", "query", "nothing is lost"),
        ("lose=atlantis", "query: lose", "no site"),
        ("cut=batam", "query", "two places"),
        ("cut=batam,batam", "query", "two places"),
        ("cut=batam,atlantis", "query: cut", "no site"),
        ("kill_controller=maybe", "query", "true or false"),
        ("lose=batam&loose=bali", "query", "unknown keys"),
    ],
)
async def test_what_is_not_understood_is_refused_with_the_mend(
    client: Client, query: str, where: str, words: str
) -> None:
    status, told = await get(client, f"{PATH}?{query}")
    assert (status, told["where"]) == (422, where)
    assert words in told["error"]
    assert told["mend"]


async def test_an_unknown_service_is_named(client: Client) -> None:
    status, told = await get(client, f"{PATH}?lose=batam&service=nobody")
    assert (status, told["where"]) == (404, "query: service")
    assert told["mend"].startswith("the services are: ")


async def test_while_one_forecast_is_made_another_is_told_to_come_later(
    client: Client, turning: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await turning.protect()
    begun, go_on = asyncio.Event(), threading.Event()
    loop, shipped = asyncio.get_running_loop(), what_if_module.what_if

    def slow(*arguments: Any) -> Any:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(30)
        return shipped(*arguments)

    monkeypatch.setattr(forecast_module, "what_if", slow)
    first = asyncio.create_task(get(client, f"{PATH}?kill_controller=true"))
    await begun.wait()
    response = await client.get(f"{PATH}?kill_controller=true")
    assert (response.status, response.headers["Retry-After"]) == (503, "5")
    assert "another forecast" in (await response.json())["error"]
    go_on.set()
    assert (await first)[0] == 200


async def test_a_forecast_that_takes_too_long_says_what_to_leave_out(
    client: Client, turning: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await turning.protect()
    monkeypatch.setattr(forecast_module, "ALL_WITHIN_S", -1.0)
    status, told = await get(client, f"{PATH}?kill_controller=true")
    assert (status, told["where"]) == (503, "query")
    assert "service=" in told["mend"]
