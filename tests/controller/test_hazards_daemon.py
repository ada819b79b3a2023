"""saling-controller as a real process: it asks a feed, keeps the caution, and tells of it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.controller.cluster import Cluster
from tests.controller.hazards.documents import autogempa, iso
from tests.controller.test_daemon import WAIT_S, Daemon

pytestmark = pytest.mark.broker


@pytest.fixture
async def feed() -> AsyncIterator[str]:
    """The URL of a feed that tells of one earthquake beneath batam, a minute ago."""
    at = iso(time.time_ns() // 1_000_000 - 60_000)
    document = autogempa(Coordinates="1.19,104.11", DateTime=at)

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=document)

    app = web.Application()
    app.router.add_get("/autogempa.json", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/autogempa.json"))


@pytest.fixture
async def daemon(cluster: Cluster, root: Path, feed: str) -> AsyncIterator[Daemon]:
    content = yaml.safe_load(cluster.config.read_text())
    content["hazards"] = {"feeds": [{"name": "bmkg", "format": "bmkg", "url": feed, "every": "5s"}]}
    cluster.config.write_text(yaml.safe_dump(content, sort_keys=False))
    one = Daemon(cluster, root)
    await one.start()
    yield one
    await one.end(signal.SIGKILL)


async def cautions(daemon: Daemon) -> list[dict[str, Any]]:
    """Those that are on, once there is one."""
    async with asyncio.timeout(WAIT_S):
        while not (found := (await daemon.get("/api/v1/hazards"))["cautions"]):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return list(found)


async def test_an_earthquake_of_a_feed_leads_to_caution_that_outlives_the_controller(
    daemon: Daemon,
) -> None:
    (caution,) = await cautions(daemon)
    assert (caution["site"], caution["source"]) == ("batam", "BMKG")
    await daemon.end(signal.SIGKILL)
    content = yaml.safe_load(daemon.cluster.config.read_text())
    del content["hazards"]
    daemon.cluster.config.write_text(yaml.safe_dump(content, sort_keys=False))
    await daemon.start()
    (again,) = await cautions(daemon)
    assert (again["id"], again["text"]) == (caution["id"], caution["text"])
    assert again["left_ms"] < caution["left_ms"]
    told = await daemon.get("/api/v1/timeline?site=batam")
    (entry,) = [e for e in told["entries"] if e["about"] == "caution"]
    assert (entry["subject"], entry["change"]) == ("batam", "begins")
    assert await daemon.end(signal.SIGTERM) == 0
