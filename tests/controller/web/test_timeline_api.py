"""GET /api/v1/timeline: the real history of a real store, of one choice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from controller.core.events import Cautioned, Kind, Requested
from controller.core.site_model import Caution
from controller.timeline import gather
from controller.web import timeline as timeline_module
from controller.web.app import create_app
from controller.web.timeline import TimelineRoutes
from protocol.messages import Mode
from tests.controller.desk import Desk

Client = TestClient[Any, Any]


async def served(turning: Desk) -> AsyncIterator[Client]:
    more = TimelineRoutes(turning.runtime).routes()
    one: Client = TestClient(
        TestServer(create_app(turning.runtime, "1.0", lambda: b"", None, more=more))
    )
    await one.start_server()
    yield one
    await one.close()


@pytest.fixture
async def client(turning: Desk) -> AsyncIterator[Client]:
    async for one in served(turning):
        await turning.protect()
        turning.healthy(Mode.LEASED)
        yield one


async def get(client: Client, query: str = "") -> tuple[int, Any]:
    async with client.get(f"/api/v1/timeline?{query}") as answer:
        return answer.status, await answer.json()


async def test_what_happened_comes_from_all_histories(client: Client, turning: Desk) -> None:
    flood = Caution("batam", "hand:siti", "siti", "flood", 2**45, 3_600_000, "siti")
    await turning.runtime.submit(Cautioned((flood,), 2**45, "r1"))
    await turning.runtime.submit(Requested("r2", Kind.PAUSE, "paspor", "siti", "patching"))
    status, told = await get(client)
    assert status == 200
    assert [e["about"] for e in told["entries"]][-2:] == ["caution", "service"]
    last = told["entries"][-1]
    assert (last["by"], last["reason"], last["subject"]) == ("siti", "patching", "paspor")
    assert {place["zone"] for place in told["places"]} <= {"WIB", "WITA", "WIT"}
    assert not told["left_out"]


async def test_a_switchover_is_told_as_an_operation(client: Client, turning: Desk) -> None:
    answer = await turning.runtime.submit(
        Requested("r1", Kind.SWITCHOVER, "paspor", "siti", "patching")
    )
    assert answer.accepted
    _, told = await get(client, "last=true")
    (move,) = told["moves"]
    assert (move["id"], move["by"], move["outcome"]) == (answer.operation_id, "siti", "under way")
    assert (move["from_site"], move["to_site"]) == ("jabodetabek", "batam")
    _, alone = await get(client, f"operation={answer.operation_id}")
    assert alone["moves"] == told["moves"]


async def test_a_choice_leaves_the_rest_out(client: Client, turning: Desk) -> None:
    await turning.runtime.submit(Requested("r1", Kind.PAUSE, "pajak", "siti", "x"))
    _, told = await get(client, "service=pajak")
    assert {e["subject"] for e in told["entries"]} == {"pajak"}
    _, told = await get(client, "since_ms=9000000000000")
    assert told["entries"] == []
    _, told = await get(client, "limit=1")
    assert (len(told["entries"]), told["left_out"]) == (1, True)


async def test_a_history_that_is_too_long_says_that_there_may_be_more(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline_module, "LOOKED_AT", 1)
    _, told = await get(client)
    assert told["left_out"]
    _, told = await get(client, "until_ms=1")
    assert (told["entries"], told["left_out"]) == ([], True)
    _, told = await get(client, "since_ms=9000000000000")
    assert (told["entries"], told["left_out"]) == ([], False)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("service=other", 404),
        ("site=atlantis", 404),
        ("last=perhaps", 422),
        ("last=true&since_ms=1", 422),
        ("since_ms=yesterday", 422),
        ("since_ms=-1", 422),
        ("since_ms=2&until_ms=1", 422),
        ("limit=99999", 422),
        ("operation=%3Cb%3E", 422),
        ("colour=red", 422),
        ("site=batam&site=ikn", 422),
    ],
)
async def test_what_is_not_understood_is_named(client: Client, query: str, status: int) -> None:
    code, answer = await get(client, query)
    assert (code, bool(answer["error"]), bool(answer["mend"])) == (status, True, True)


class Slow:
    """A timeline that is put together for as long as a test wants."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go_on = threading.Event()
        self._loop = asyncio.get_running_loop()

    def __call__(self, *arguments: Any) -> Any:
        self._loop.call_soon_threadsafe(self.begun.set)
        assert self.go_on.wait(30)
        return gather.timeline(*arguments)


@pytest.fixture
async def slow(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Slow]:
    one = Slow()
    monkeypatch.setattr(timeline_module, "timeline", one)
    yield one
    one.go_on.set()


async def test_while_a_timeline_is_put_together_everything_else_is_answered(
    client: Client, turning: Desk, slow: Slow
) -> None:
    first = asyncio.create_task(get(client))
    await slow.begun.wait()
    async with client.get("/healthz") as answer:
        assert answer.status == 200
    assert (
        await turning.runtime.submit(Requested("r1", Kind.PAUSE, "paspor", "siti", "x"))
    ).accepted
    slow.go_on.set()
    assert (await first)[0] == 200


async def test_a_second_timeline_waits_for_the_first(client: Client, slow: Slow) -> None:
    both = [asyncio.create_task(get(client)) for _ in range(2)]
    await slow.begun.wait()
    slow.go_on.set()
    assert [status for status, _told in await asyncio.gather(*both)] == [200, 200]


async def test_who_waited_too_long_for_a_timeline_is_told_to_come_later(
    turning: Desk, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline_module, "WAIT_S", 0.01)
    async for client in served(turning):
        first = asyncio.create_task(get(client))
        await slow.begun.wait()
        async with client.get("/api/v1/timeline") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            assert "another timeline" in (await answer.json())["error"]
        slow.go_on.set()
        assert (await first)[0] == 200


@pytest.mark.parametrize("what", ["operation", "plan"])
async def test_an_operation_or_plan_that_is_not_there_is_told_with_the_newest(
    client: Client, what: str
) -> None:
    status, told = await get(client, f"{what}=paspor-999")
    assert status == 404
    assert f'no {what} "paspor-999"' in told["error"]
    assert told["mend"].startswith("the newest are: ")
