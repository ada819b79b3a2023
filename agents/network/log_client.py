"""Asks a partner's agent for the rest of its fenced replica's log. See `log_server.py`."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp

from agents.engines.base import EngineBusy, LogPoint, LogSource
from agents.network.log_server import PATH
from protocol.messages import Partner

CONNECT_LIMIT_S = 1.0
SILENCE_LIMIT_S = 2.0
CHUNK_BYTES = 256 * 1024


class LogClient:
    """Opens the rest of a partner's log over HTTPS with mutual TLS."""

    def __init__(self, context: ssl.SSLContext, reached: Callable[[str], str]) -> None:
        self._context = context
        self._reached = reached

    def source(self, service: str, partner: Partner, revision: int) -> LogSource:
        """Where an engine gets it from. Opening and reading raise EngineBusy."""

        @asynccontextmanager
        async def opened(point: LogPoint) -> AsyncIterator[AsyncIterator[bytes]]:
            timeout = aiohttp.ClientTimeout(sock_connect=CONNECT_LIMIT_S, sock_read=SILENCE_LIMIT_S)
            connector = aiohttp.TCPConnector(ssl=self._context)
            async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
                try:
                    async with session.get(
                        self._url(service, partner),
                        params=_params(point, revision),
                        # Who answers is proved by its certificate's name, whatever its address.
                        server_hostname=partner.agent,
                        allow_redirects=False,
                    ) as response:
                        await _need_success(response, partner)
                        yield response.content.iter_chunked(CHUNK_BYTES)
                except (aiohttp.ClientError, OSError) as error:
                    raise EngineBusy(f"the rest of the log at {partner.agent}: {error!r}") from None

        return opened

    def _url(self, service: str, partner: Partner) -> str:
        address = self._reached(partner.agent_address)
        return f"https://{address}{PATH.format(service=service)}"


def _params(point: LogPoint, revision: int) -> dict[str, str]:
    return {
        "revision": str(revision),
        "system": point.system_identifier,
        "timeline": str(point.timeline),
        "begin": str(point.begin_bytes),
        "received": str(point.received_bytes),
    }


async def _need_success(response: aiohttp.ClientResponse, partner: Partner) -> None:
    if response.status != 200:
        text = (await response.content.read(300)).decode(errors="replace")
        raise EngineBusy(f"{partner.agent} answers {response.status}: {text}")
