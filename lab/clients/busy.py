"""Busy connections to one engine over its socket, each inserting as fast as it can.

`python -m lab.clients.busy --socket DIR --port N --connections N` runs until SIGTERM; a connection
that was lost is made anew.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

from agents.engines.pg_roles import SUPERUSER
from lab.base.database import ERRORS, Login, connect
from lab.base.processes import Child, module

APPLICATION = "busy"
PAUSE_S = 0.01
TABLE_SQL = "CREATE TABLE IF NOT EXISTS lab_busy (n bigint)"
"""Logged: a process that waits for the disk's flush is the one that is slow to die."""


def busy_child(directory: Path, sockets: Path, port: int, connections: int) -> Child:
    """That program, not started yet."""
    arguments = ["--socket", str(sockets), "--port", str(port), "--connections", str(connections)]
    return Child("busy connections", directory / "busy.out", module("lab.clients.busy", *arguments))


async def run(address: str, connections: int) -> None:
    """Until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_insert_always(address)) for _ in range(connections)]
        await stop.wait()
        for task in tasks:
            task.cancel()


async def _insert_always(address: str) -> None:
    login = Login("postgres", SUPERUSER)
    settings = {"application_name": APPLICATION}
    while True:
        try:
            connection = await connect(address, login, server_settings=settings)
        except ERRORS:
            await asyncio.sleep(PAUSE_S)
            continue
        try:
            await connection.execute(TABLE_SQL)
            while True:
                await connection.execute("INSERT INTO lab_busy VALUES (1)")
        except ERRORS:
            await asyncio.sleep(PAUSE_S)
        finally:
            connection.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(prog="lab.clients.busy", description="Keep an engine busy.")
    parser.add_argument("--socket", required=True, help="directory of the engine's socket")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, default=20)
    options = parser.parse_args()
    asyncio.run(run(f"{options.socket}:{options.port}", options.connections))


if __name__ == "__main__":
    main()
