"""How the lab asks the process of its network: one line of JSON each way on a unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

ASK_TIMEOUT_S = 10.0
MAX_LINE_BYTES = 64 * 1024
MAX_SOCKET_PATH_BYTES = 107


class LinksError(Exception):
    """The process of the links does not run, or refused what was asked."""


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`error` is empty when it was done."""

    error: str = ""
    listen: str = ""
    connections: int = 0


async def ask(control: Path, request: msgspec.Struct) -> Answer:
    """Ask the network's process for one thing. Raises LinksError, or TimeoutError."""
    async with asyncio.timeout(ASK_TIMEOUT_S):
        try:
            reader, writer = await asyncio.open_unix_connection(control, limit=MAX_LINE_BYTES)
        except OSError as error:
            raise LinksError(f"links do not listen on {control}: {error}") from error
        try:
            writer.write(msgspec.json.encode(request) + b"\n")
            line = await reader.readline()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    if not line:
        raise LinksError(f"links ended while they were asked for {request}")
    answer = msgspec.json.decode(line, type=Answer)
    if answer.error:
        raise LinksError(answer.error)
    return answer


async def serve_requests(control: str, kind: Any, do: Callable[[Any], Awaitable[Answer]]) -> None:
    """Do what is asked on a unix socket, until SIGTERM or SIGINT. `kind`: what may be asked."""
    if len(control.encode()) > MAX_SOCKET_PATH_BYTES:
        raise LinksError(
            f"control: {control} is longer than the {MAX_SOCKET_PATH_BYTES} bytes a unix "
            "socket may have: give the lab a shorter directory"
        )

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                line = await reader.readline()
            reply = await do(msgspec.json.decode(line, type=kind))
        except (msgspec.DecodeError, ValueError, OSError) as error:
            reply = Answer(error=str(error) or type(error).__name__)
        writer.write(msgspec.json.encode(reply) + b"\n")
        writer.close()

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await asyncio.start_unix_server(answer, control, limit=MAX_LINE_BYTES)
    async with server:
        await stop.wait()
    Path(control).unlink(missing_ok=True)
