"""Why a port was not reached, in words and without objects of Python."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from agents.network.peers import server_context
from agents.network.unreached import why_unreached
from lab.base.keys import make_keys
from tests.agents.network.test_peers import tls_of

LIMIT_S = 10


async def asked(url: str, context: ssl.SSLContext | None = None) -> str:
    """Why it was not answered."""
    with pytest.raises((aiohttp.ClientError, OSError)) as told:
        async with aiohttp.ClientSession() as http, http.get(url, ssl=context or True) as answer:
            answer.raise_for_status()
    return why_unreached(told.value, LIMIT_S)


async def test_a_port_at_which_nobody_listens_refuses() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        told = await asked(f"http://127.0.0.1:{port}/")
    assert told == f"no connection to 127.0.0.1:{port} (connection refused)"


async def test_a_status_is_named() -> None:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    told = await asked(f"http://127.0.0.1:{runner.addresses[0][1]}/metrics")
    await runner.cleanup()
    assert told == "it answered with status 404"


async def test_a_certificate_that_is_not_trusted_is_told_without_the_library_s_words(
    tmp_path: Path,
) -> None:
    keys = make_keys(tmp_path / "keys", ("batam-1",), {})
    server = await asyncio.start_server(
        lambda _reader, writer: writer.close(),
        "127.0.0.1",
        0,
        ssl=server_context(tls_of(keys, "batam-1")),
    )
    async with server:
        port = server.sockets[0].getsockname()[1]
        told = await asked(f"https://127.0.0.1:{port}/", ssl.create_default_context())
    assert told.startswith(f"the certificate at 127.0.0.1:{port} is not trusted (")
    assert "_ssl.c" not in told and "object at" not in told


async def test_a_connection_that_breaks_off_is_told() -> None:
    def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        told = await asked(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert told == "the connection broke off before an answer came"


def test_a_time_that_was_over_and_what_says_nothing_are_told() -> None:
    assert why_unreached(TimeoutError(), 3.0) == "no answer in 3 s"
    assert why_unreached(ConnectionResetError(), 3.0) == "ConnectionResetError"
