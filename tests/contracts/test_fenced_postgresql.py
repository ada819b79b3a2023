"""A real engine behind the kernel's door: clients over TCP are told of no commit after the end."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import asyncpg

from agents.guard.client import now_ms
from lab.roads.netns import Place, within
from tests.contracts.conftest import MakeSite, Site
from tests.contracts.doors import guard_within, needs_door

LEASE_MS = 1500
LATE_AT_MOST_MS = 50
"""The kernel's tick."""
HEARD_AT_MOST_MS = 1000
"""In which a commit that was told in time reaches this test, on a machine under load as well."""


GONE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


class Client:
    """Commits without a pause, and knows when it last asked for a commit that it heard of, and
    when it heard."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.asked_ms = self.committed_ms = 0
        self.ended_by = ""

    async def run(self) -> None:
        try:
            while True:
                asked_ms = now_ms()
                await self._connection.execute("INSERT INTO app.t DEFAULT VALUES", timeout=5)
                self.asked_ms, self.committed_ms = asked_ms, now_ms()
        except GONE as error:
            self.ended_by = str(error)

    def end(self) -> None:
        self._connection.terminate()


async def start_for_clients(site: Site, template: Path) -> None:
    shutil.copytree(template, site.config.data)
    rules = "host all app 127.0.0.1/32 trust\nlocal all app trust\n"
    site.config.dba_hba.write_text(rules + site.config.dba_hba.read_text())
    await site.lease()
    await site.engine.start_primary(30_000)
    await site.script("CREATE ROLE app LOGIN; CREATE SCHEMA app AUTHORIZATION app")
    await site.script("CREATE TABLE app.t (); GRANT ALL ON app.t TO app")


async def client_of(site: Site, host: str) -> Client:
    port = site.config.port
    return Client(await asyncpg.connect(host=host, port=port, user="app", database="postgres"))


@needs_door
async def test_no_client_over_tcp_is_told_of_a_commit_after_the_end_though_the_guard_stands_still(
    make_site: MakeSite, template: Path, network: Place
) -> None:
    site = make_site("a")
    site.config.run.mkdir(mode=0o700, parents=True)
    site.config.data.parent.mkdir(exist_ok=True)
    await guard_within(network, site.config.run, site.config.data)
    guard = site.engine.guard
    await guard.fences(service="orders", address=site.address, nftables="required")
    await start_for_clients(site, template)
    with within(network):
        tcp = await client_of(site, "127.0.0.1")
    local = await client_of(site, str(site.config.sockets))
    pid = (await guard.status()).pid
    await guard.alone()
    deadline_ms = await guard.lease(now_ms() + LEASE_MS)
    os.kill(pid, signal.SIGSTOP)
    beside = asyncio.create_task(local.run())
    await tcp.run()
    assert deadline_ms - LEASE_MS < tcp.asked_ms <= deadline_ms + LATE_AT_MOST_MS, tcp.ended_by
    assert tcp.committed_ms <= deadline_ms + HEARD_AT_MOST_MS
    # This layer is no fence for who sits on the host: the guard's own is, once it runs again.
    heard_ms = local.committed_ms
    assert heard_ms > 0
    os.kill(pid, signal.SIGCONT)
    await beside
    await guard.wait_engine_gone(20_000)
    assert site.processes() == []
    assert (await guard.status()).last_fence is not None
    tcp.end()
    local.end()
