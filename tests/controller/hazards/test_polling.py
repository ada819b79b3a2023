"""A feed is asked over real HTTP: once a while, within bounds, and never believed for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from config.hazards import Feed
from controller.hazards import polling
from controller.hazards.polling import FeedFailed, Poller
from tests.controller.hazards.documents import autogempa
from tests.controller.hazards.test_desk import Rules


class Source:
    """A feed's server: what it answers may be changed at any time."""

    def __init__(self) -> None:
        self.status = 200
        self.body = autogempa()
        self.headers: dict[str, str] = {"ETag": '"1"'}
        self.slow = asyncio.Event()
        self.slow.set()
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.headers.get("If-None-Match", ""))
        await self.slow.wait()
        if self.asked[-1] and self.asked[-1] == self.headers.get("ETag"):
            return web.Response(status=304)
        return web.Response(status=self.status, body=self.body, headers=self.headers)


class Given:
    """A poller between a source and the rules."""

    def __init__(self, source: Source, rules: Rules, poller: Poller) -> None:
        self.source, self.rules, self.poller = source, rules, poller


@pytest.fixture
async def given() -> AsyncIterator[Given]:
    source, rules = Source(), Rules()
    app = web.Application()
    app.router.add_get("/quakes.json", source.answer)
    async with TestServer(app) as server:
        url = str(server.make_url("/quakes.json"))
        feed = Feed.model_validate({"name": "bmkg", "format": "bmkg", "url": url})
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            yield Given(source, rules, Poller(feed, rules.desk, session))
        source.slow.set()


async def test_a_document_is_taken_and_the_next_time_only_what_is_new(given: Given) -> None:
    await given.poller.ask()
    await given.poller.ask()
    assert given.source.asked == ["", '"1"']
    assert given.rules.documents() == {"understood": 1, "unchanged": 1}
    assert len(given.rules.heard) == 1


@pytest.mark.parametrize("status", [301, 404, 500, 204])
async def test_another_status_is_a_failure_that_is_told(given: Given, status: int) -> None:
    given.source.status = status
    given.source.headers = {"Location": "https://elsewhere.example/"}
    with pytest.raises(FeedFailed, match=str(status)):
        await given.poller.ask()
    assert given.rules.documents() == {"failed": 1}


async def test_a_huge_answer_is_given_up(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "DOCUMENT_AT_MOST_BYTES", 1000)
    given.source.body = b" " * 100_000
    with pytest.raises(FeedFailed, match="larger"):
        await given.poller.ask()
    assert given.rules.documents() == {"too_large": 1}


async def test_what_is_no_document_is_asked_for_anew_without_its_tag(given: Given) -> None:
    given.source.body = b"<html>"
    with pytest.raises(FeedFailed):
        await given.poller.ask()
    given.source.body = autogempa()
    await given.poller.ask()
    assert given.source.asked == ["", ""]
    assert given.rules.documents() == {"malformed": 1, "understood": 1}


async def test_a_source_that_does_not_answer_is_given_up_in_time(given: Given) -> None:
    given.source.slow.clear()
    timeout = aiohttp.ClientTimeout(total=0.2)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        poller = Poller(given.poller._feed, given.rules.desk, session)
        with pytest.raises(FeedFailed, match="within"):
            await poller.ask()
    assert given.rules.documents() == {"failed": 1}


async def test_rules_that_cannot_take_it_are_asked_again(given: Given) -> None:
    given.rules.fails = RuntimeError("the store is down")
    with pytest.raises(FeedFailed, match="store is down"):
        await given.poller.ask()
    given.rules.fails = None
    await given.poller.ask()
    assert given.source.asked == ["", ""]
    assert len(given.rules.heard) == 1


async def test_it_goes_on_after_failures_until_it_is_cancelled(given: Given) -> None:
    given.source.status = 500
    task = asyncio.create_task(given.poller.run(pause_s=0.01))
    async with asyncio.timeout(20):
        while given.rules.documents().get("failed", 0) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        given.source.status = 200
        while not given.rules.documents().get("understood"):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_nobody_is_asked_where_no_feed_has_a_url(given: Given) -> None:
    posted = Feed.model_validate({"name": "usgs", "format": "usgs"})
    await asyncio.wait_for(polling.poll_all((posted,), given.rules.desk, "1.0"), 10)
