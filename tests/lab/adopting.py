"""A pair of plain PostgreSQL servers that nobody manages, beside a lab whose agents wait."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import yaml

from agents.engines.pg_tools import ENVIRONMENT, as_engine_user
from lab.base.database import ERRORS
from lab.base.keys import make_keys
from lab.base.plan import write_agent, write_topology
from lab.base.processes import ROOT
from lab.running.four_sites import Lab

SERVICE = "paspor"
COMMAND_LIMIT_S = 120.0


class WaitingLab(Lab):
    """Everything runs but the agents, which the test starts when their server is adopted."""

    async def launch_but_agents(self, identifier: str, per_site: dict[str, dict[str, Any]]) -> None:
        """`identifier`: declared in the topology. `per_site`: more lines of the agent's service."""
        self.plan.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.keys = make_keys(self.plan.directory / "keys", self.plan.agents, {})
        await self.links.start()
        await self._start_brokers(self.keys)
        write_topology(self.plan, self.keys)
        declare(self.plan.topology_file, system_identifier=identifier)
        for site in self.plan.sites:
            write_agent(self.plan, self.keys, site, await self._roads_from(site))
            declare(self.plan.agent_file(site), **per_site[site])
        self.controller.start()


def declare(file: Path, **more: object) -> None:
    """Change lines of the file's one service; None takes a line out."""
    document = yaml.safe_load(file.read_text())
    service = document["services"][0]
    service.update(more)
    document["services"][0] = {key: value for key, value in service.items() if value is not None}
    file.write_text(yaml.safe_dump(document, sort_keys=False))


class Said(msgspec.Struct, frozen=True):
    """How one command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def shown(self) -> dict[str, Any]:
        shown: dict[str, Any] = msgspec.json.decode(self.out)
        return shown

    def failed(self) -> dict[str, str]:
        """What failed, with its mend."""
        found = self.shown["findings"]
        return {f["what"]: f"{f['found']} | {f['mend']}" for f in found if f["level"] == "failed"}


async def run(*argv: str) -> Said:
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "300", "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), COMMAND_LIMIT_S)
    assert process.returncode is not None
    return Said(process.returncode, out.decode(), err.decode())


async def adopt(
    lab: Lab, site: str, *options: str, before: Sequence[str] = (), topology: bool = True
) -> Said:
    """Run the command on a site, as the user that `before` becomes."""
    where = ["--topology", str(lab.plan.topology_file)] if topology else []
    return await run(
        *(*before, sys.executable, "-m", "agents.daemon", "adopt"),
        *("--config", str(lab.plan.agent_file(site)), "--service", SERVICE),
        *(*where, "--output", "json", *options),
    )


class PlainServer:
    """A server as a DBA would run it: started by pg_ctl, its socket in a directory of its own."""

    def __init__(self, binaries: Path, data: Path, address: str) -> None:
        self._binaries = binaries
        self.data = data
        self.port = address.rpartition(":")[2]
        self.sockets = data.parent / "sockets"

    def tool(self, name: str, *arguments: str) -> None:
        subprocess.run(
            as_engine_user(str(self._binaries / name), *arguments),
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=60,
            env=ENVIRONMENT,
        )

    def create(self) -> None:
        self.data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.tool("initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-N")
        self._configure()

    def copy_of(self, other: PlainServer) -> None:
        self.data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        source = f"host=127.0.0.1 port={other.port} user=postgres"
        self.tool(
            "pg_basebackup", "-D", str(self.data), "-d", source, "-R", "-c", "fast", "-X", "stream"
        )
        self._configure()

    def _configure(self) -> None:
        self.sockets.mkdir(exist_ok=True)
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(
                f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nmax_connections = 40\n"
                f"unix_socket_directories = '{self.sockets}'\nshared_buffers = '16MB'\n"
                "work_mem = '5MB'\nmax_slot_wal_keep_size = '4GB'\n"
            )

    def start(self) -> None:
        log = str(self.data.parent / "plain.log")
        self.tool("pg_ctl", "start", "-w", "-D", str(self.data), "-l", log)

    async def connect(self, **more: Any) -> asyncpg.Connection:
        return await connect(f"127.0.0.1:{self.port}", **more)


async def connect(address: str, **more: Any) -> asyncpg.Connection:
    host, _, port = address.rpartition(":")
    given = {"user": "postgres", "database": "postgres", "ssl": False, "timeout": 5, **more}
    return await asyncpg.connect(host=host, port=int(port), **given)


class Client:
    """Writes one row after the other to whoever takes it; remembers what was acknowledged."""

    def __init__(self, addresses: Sequence[str], **login: Any) -> None:
        self._addresses = list(addresses)
        self._login = login
        self.acknowledged: list[int] = []
        self.longest_gap_s = 0.0
        self._last_s = 0.0
        self._number = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            for address in self._addresses:
                try:
                    await self._write_to(address)
                except (*ERRORS, TimeoutError):
                    await asyncio.sleep(0.01)

    async def _write_to(self, address: str) -> None:
        connection = await connect(address, **self._login)
        try:
            while True:
                self._number += 1
                await connection.execute("INSERT INTO rows VALUES ($1)", self._number, timeout=5)
                self._acknowledge(self._number)
                await asyncio.sleep(0.005)
        finally:
            connection.terminate()

    def _acknowledge(self, number: int) -> None:
        now_s = time.monotonic()
        if self.acknowledged:
            self.longest_gap_s = max(self.longest_gap_s, now_s - self._last_s)
        self._last_s = now_s
        self.acknowledged.append(number)


def snapshot(directory: Path) -> dict[str, tuple[int, int]]:
    """Inode and size of every file that a server at work does not change by itself."""
    return {
        str(path.relative_to(directory)): (path.stat().st_ino, path.stat().st_size)
        for path in directory.iterdir()
        if path.is_file()
    }
