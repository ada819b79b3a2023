"""Gives the rest of a fenced replica's log to its backup's agent.

    GET /saling/v1/log/NAME?revision=N&system=ID&timeline=N&begin=BYTES&received=BYTES

Mutual TLS: the certificate's name is who asks. 200 with the bytes of the log from `begin` on;
409 with a sentence while it may not be given (`agents.core.rest_of_log`) or is another history;
403 without a certificate, 404 for a service that is not here, 503 while one is being given.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import structlog
from aiohttp import web

from agents.core.model import Replica
from agents.core.rest_of_log import refusal
from agents.engines.base import Engine, EngineError, LogPoint

PATH = "/saling/v1/log/{service}"
CHUNK_LIMIT_S = 5.0
"""A partner that does not take a part of it for so long is gone."""

log = structlog.get_logger("log")


class LogServer:
    """One transfer at a time for each service."""

    def __init__(
        self, engines: Mapping[str, Engine], settled: Callable[[str], Replica | None]
    ) -> None:
        self._engines = engines
        self._settled = settled
        self._giving: set[str] = set()

    async def give(self, request: web.Request, agent: str | None) -> web.StreamResponse:
        """Answer one request of the agent that its certificate names."""
        service = request.match_info["service"]
        engine = self._engines.get(service)
        if agent is None:
            return web.Response(status=403, text="no client certificate of our authority")
        if engine is None:
            return web.Response(status=404, text=f"{service[:63]} is not a service here")
        revision, point = _asked(request)
        if why := self._refusal(service, agent, revision):
            return web.Response(status=409, text=why)
        if service in self._giving:
            return web.Response(status=503, text=f"the log of {service} is being given already")
        self._giving.add(service)
        try:
            return await self._stream(request, engine, point)
        except (EngineError, OSError) as error:
            return web.Response(status=409, text=str(error))
        finally:
            self._giving.discard(service)

    def _refusal(self, service: str, agent: str, revision: int) -> str:
        replica = self._settled(service)
        return refusal(replica, agent, revision) if replica else "nothing is known of it yet"

    async def _stream(
        self, request: web.Request, engine: Engine, point: LogPoint
    ) -> web.StreamResponse:
        size, chunks = await engine.rest_of_log(point)
        log.info("the log is handed over", service=request.match_info["service"], bytes=size)
        response = web.StreamResponse()
        # The length tells the other side a transfer that broke off from a whole one.
        response.content_length = size
        await response.prepare(request)
        try:
            await _write_all(response, chunks)
        except (EngineError, OSError, TimeoutError) as error:
            log.warning("the transfer of a log broke off", error=str(error) or repr(error))
            request.protocol.force_close()
        return response


async def _write_all(response: web.StreamResponse, chunks: AsyncIterator[bytes]) -> None:
    async for chunk in chunks:
        async with asyncio.timeout(CHUNK_LIMIT_S):
            await response.write(chunk)
    await response.write_eof()


def _asked(request: web.Request) -> tuple[int, LogPoint]:
    numbers = {name: _number(request, name) for name in ("revision", "timeline")}
    places = {name: _number(request, name) for name in ("begin", "received")}
    system = request.query.get("system", "")[:64]
    if not 0 <= places["received"] - places["begin"] < 1 << 20:
        raise web.HTTPBadRequest(text="received: at or a little after `begin` is needed")
    point = LogPoint(system, numbers["timeline"], places["begin"], places["received"])
    return numbers["revision"], point


def _number(request: web.Request, name: str) -> int:
    text = request.query.get(name, "")
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise web.HTTPBadRequest(text=f"{name}: a natural number is needed")
    return int(text)
