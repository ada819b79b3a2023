"""A running pair of plain servers comes under Saling: nothing copied anew, one short restart."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from lab.base.binaries import wheel_binaries
from lab.base.plan import Plan, Service
from tests.lab.adopting import (
    SERVICE,
    Client,
    PlainServer,
    Said,
    WaitingLab,
    adopt,
    connect,
    declare,
    snapshot,
)

pytestmark = [
    pytest.mark.lab,
    pytest.mark.postgres,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]
HOME, AWAY = "jabodetabek", "batam"
FAST = Service(SERVICE, (HOME, AWAY))
NO_SOCKETS: dict[str, Any] = {"client_socket_directories": []}


class Pair:
    """The two servers, and the lab that waits for them."""

    def __init__(self) -> None:
        directory = Path(tempfile.mkdtemp(prefix="sad-"))
        self.lab = WaitingLab(Plan(directory, (FAST,)))
        self.servers = {
            site: PlainServer(
                wheel_binaries(),
                self.lab.plan.data_directory(site) / SERVICE,
                self.lab.plan.engine(SERVICE, site),
            )
            for site in (HOME, AWAY)
        }
        self.identifier = ""

    async def start(self) -> None:
        home, away = self.servers[HOME], self.servers[AWAY]
        await asyncio.to_thread(home.create)
        await asyncio.to_thread(home.start)
        connection = await home.connect()
        await connection.execute("CREATE TABLE rows (number bigint PRIMARY KEY)")
        sql = "SELECT system_identifier::text FROM pg_control_system()"
        self.identifier = await connection.fetchval(sql)
        await connection.close()
        await asyncio.to_thread(away.copy_of, home)
        await asyncio.to_thread(away.start)
        per_site = {HOME: NO_SOCKETS, AWAY: NO_SOCKETS}
        await self.lab.launch_but_agents(self.identifier, per_site)

    async def until_home_streams_to(self, name: str) -> None:
        sql = "SELECT count(*) FROM pg_stat_replication WHERE application_name = $1"
        async with asyncio.timeout(60):
            while True:
                connection = await self.servers[HOME].connect()
                if await connection.fetchval(f"{sql} AND state = 'streaming'", name):
                    await connection.close()
                    return
                await connection.close()
                await asyncio.sleep(0.05)

    async def end(self) -> None:
        # The plain servers too, for their command lines name the sites' directories.
        await self.lab.stop()
        await self.lab.remove()


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    made = Pair()
    try:
        await made.start()
        yield made
    finally:
        await made.end()


async def test_a_running_pair_is_adopted_with_its_rows_its_files_and_one_short_restart(
    pair: Pair,
) -> None:
    lab, servers = pair.lab, pair.servers
    for server in servers.values():
        (server.data / "a.marker").write_text("no copy of the database has this file")
    before = {site: server.data.stat().st_ino for site, server in servers.items()}

    # In the wrong order nothing is done, and the mend says what comes first.
    assert "--prepare" in refused(await adopt(lab, AWAY))["prepared"]
    assert "--prepare" in refused(await adopt(lab, HOME))["prepared"]

    # A dry run tells the lines for the topology and changes not one file.
    files = {site: snapshot(server.data) for site, server in servers.items()}
    told = await adopt(lab, HOME, "--dry-run", topology=False)
    assert told.code == 0, told
    assert f'  system_identifier: "{pair.identifier}"' in told.shown["topology"]
    assert any("wal_sender_timeout: 1min -> 5s" in f["found"] for f in told.shown["findings"])
    assert files == {site: snapshot(server.data) for site, server in servers.items()}
    assert not (lab.plan.site_directory(HOME) / "state").exists()

    client = Client([lab.plan.engine(SERVICE, site) for site in (HOME, AWAY)])
    writing = asyncio.create_task(client.run())
    assert (await adopt(lab, HOME, "--prepare")).code == 0
    assert (await adopt(lab, HOME, "--prepare")).code == 0
    assert "does not stream" in refused(await adopt(lab, HOME))["standby"]

    taken = await adopt(lab, AWAY)
    assert taken.code == 0, taken
    assert (servers[AWAY].data / "standby.signal").exists()
    lab.start_site(AWAY)
    await pair.until_home_streams_to("batam-1")
    gap_before_s = client.longest_gap_s

    taken = await adopt(lab, HOME)
    assert taken.code == 0, taken
    lab.start_site(HOME)
    await lab.wait_until_protected()
    print(
        f"\nadoption: client's longest gap {client.longest_gap_s:.3f} s "
        f"(before the restart {gap_before_s:.3f} s), {len(client.acknowledged)} rows"
    )

    # The copies are the same ones, and replication goes on between them.
    for site, server in servers.items():
        assert (server.data / "a.marker").exists()
        assert server.data.stat().st_ino == before[site]
        assert not list(server.data.parent.glob(f"{SERVICE}.*old*"))
    connection = await lab.as_superuser(SERVICE, HOME)
    # The DBA's settings are in force still.
    assert await connection.fetchval("SHOW work_mem") == "5MB"
    sql = "SELECT system_identifier::text FROM pg_control_system()"
    assert await connection.fetchval(sql) == pair.identifier
    await connection.close()

    await lab.ask_until_accepted(SERVICE, "switchover")
    await lab.wait_for("the switchover", lambda s: s["primary"] == "batam-1", SERVICE)
    await lab.wait_until_protected()
    writing.cancel()
    await asyncio.wait({writing})
    assert await missing_rows(lab, AWAY, client) == set()
    assert client.longest_gap_s < 30


async def missing_rows(lab: WaitingLab, site: str, client: Client) -> set[int]:
    connection = await connect(lab.plan.engine(SERVICE, site))
    rows = await connection.fetch("SELECT number FROM rows")
    await connection.close()
    return set(client.acknowledged) - {row["number"] for row in rows}


async def test_a_slot_is_made_only_where_it_cannot_fill_the_disk(pair: Pair) -> None:
    lab, connection = pair.lab, await pair.servers[HOME].connect()
    await connection.execute("ALTER SYSTEM SET max_slot_wal_keep_size = -1")
    await connection.execute("SELECT pg_reload_conf()")
    await until_shown(connection, "-1")
    found = refused(await adopt(lab, HOME, "--prepare"))
    assert list(found) == ["slot"]
    assert await connection.fetchval("SELECT count(*) FROM pg_replication_slots") == 0

    # The mend that it names, to the letter.
    for statement in found["slot"].partition(" | ")[2].split("; ")[:2]:
        await connection.execute(statement)
    await until_shown(connection, "4GB")
    assert (await adopt(lab, HOME, "--prepare")).code == 0
    slots = "SELECT count(*) FROM pg_replication_slots WHERE restart_lsn IS NOT NULL"
    assert await connection.fetchval(slots) == 1
    await connection.close()


async def shown(connection: asyncpg.Connection) -> str:
    return str(await connection.fetchval("SHOW max_slot_wal_keep_size"))


async def until_shown(connection: asyncpg.Connection, value: str) -> None:
    async with asyncio.timeout(60):
        while await shown(connection) != value:  # noqa: ASYNC110 - a server tells nobody
            await asyncio.sleep(0.01)


async def test_nobody_starts_an_adopted_primary_twice_nor_adopts_it_twice(pair: Pair) -> None:
    lab, servers = pair.lab, pair.servers
    await prepared_and_standby_adopted(pair)
    # An agent that is started before the primary is adopted leaves the DBA's server alone.
    lab.start_site(HOME)
    await lab.wait_for(
        "the agent's word", lambda s: "Saling did not start it" in problems(s), SERVICE
    )
    assert not (servers[HOME].data / "standby.signal").exists()
    assert (await lab.services())[SERVICE]["phase"] == "ALONE"
    assert "stop it" in refused(await adopt(lab, HOME))["agent"]
    await lab.kill_agent(HOME)

    # A run that died after the stop is finished by the next one.
    state = lab.plan.site_directory(HOME) / "state"
    (state / f"{SERVICE}.adopting").write_text(f"{pair.identifier}\n")
    servers[HOME].tool("pg_ctl", "stop", "-w", "-m", "fast", "-D", str(servers[HOME].data))
    again = await adopt(lab, HOME)
    assert again.code == 0, again
    assert not (state / f"{SERVICE}.adopting").exists()

    # Whoever starts it before the agent gets a standby; beside the agent's nobody starts one.
    servers[HOME].start()
    connection = await servers[HOME].connect()
    assert await connection.fetchval("SELECT pg_is_in_recovery()")
    await connection.close()
    servers[HOME].tool("pg_ctl", "stop", "-w", "-m", "fast", "-D", str(servers[HOME].data))
    lab.start_site(HOME)
    await lab.wait_until_protected()
    with pytest.raises(subprocess.CalledProcessError):
        servers[HOME].start()
    assert "nothing to adopt" in refused(await adopt(lab, HOME))["engine"]


async def prepared_and_standby_adopted(pair: Pair) -> None:
    assert (await adopt(pair.lab, HOME, "--prepare")).code == 0
    assert (await adopt(pair.lab, AWAY)).code == 0
    pair.lab.start_site(AWAY)
    await pair.until_home_streams_to("batam-1")


def problems(service: dict[str, Any]) -> str:
    reports = [copy["report"] for copy in service["copies"] if copy["report"]]
    return " ".join(str(report.get("problem")) for report in reports)


async def test_two_primaries_swapped_roles_and_strange_copies_are_refused(pair: Pair) -> None:
    lab, servers = pair.lab, pair.servers
    home_file, topology = lab.plan.agent_file(HOME), lab.plan.topology_file
    assert (await adopt(lab, HOME, "--prepare")).code == 0

    # The topology has the roles the wrong way round.
    replicas = [
        {"site": HOME, "priority": 2, "address": lab.plan.engine(SERVICE, HOME)},
        {"site": AWAY, "priority": 1, "address": lab.plan.engine(SERVICE, AWAY)},
    ]
    right = [{**replica, "priority": 3 - int(str(replica["priority"]))} for replica in replicas]
    declare(topology, replicas=replicas)
    assert "the primary now" in refused(await adopt(lab, HOME))["role"]
    assert "the primary now" in refused(await adopt(lab, AWAY))["role"]
    declare(topology, replicas=right)

    # It is another database than the topology names, or the topology names none.
    declare(topology, system_identifier="7000000000000000001")
    assert "another database" in refused(await adopt(lab, AWAY))["system identifier"]
    declare(topology, system_identifier=None)
    assert pair.identifier in refused(await adopt(lab, AWAY))["system identifier"]
    declare(topology, system_identifier=pair.identifier)

    # What clients use would change, or what the standby needs would be too little.
    declare(home_file, listen="127.0.0.1:1", client_socket_directories=None)
    wrong = refused(await adopt(lab, HOME))
    assert f":{servers[HOME].port}" in wrong["address"]
    assert str(servers[HOME].sockets) in wrong["clients' sockets"]
    declare(lab.plan.agent_file(AWAY), settings={"max_connections": "10"})
    assert "max_connections" in refused(await adopt(lab, AWAY))["settings"]

    # Somebody promoted the standby by hand: neither of the two is taken.
    declare(lab.plan.agent_file(AWAY), settings={})
    servers[AWAY].tool("pg_ctl", "promote", "-w", "-D", str(servers[AWAY].data))
    assert "by hand" in refused(await adopt(lab, AWAY))["role"]

    # Usage: no topology, no such service.
    assert (await adopt(lab, HOME, topology=False)).code == 2
    assert (await adopt(lab, HOME, "--service", "nobody")).code == 2


async def test_other_managers_and_no_server_are_refused(pair: Pair) -> None:
    lab, server = pair.lab, pair.servers[HOME]
    patroni = server.data / "patroni.dynamic.json"
    patroni.write_text("{}")
    assert "stop Patroni" in refused(await adopt(lab, HOME, "--prepare"))["other managers"]
    patroni.unlink()
    server.tool("pg_ctl", "stop", "-w", "-m", "fast", "-D", str(server.data))
    assert "start it as you always did" in refused(await adopt(lab, HOME))["server"]
    assert not (server.data / "standby.signal").exists()


def refused(said: Said) -> dict[str, str]:
    assert said.code == 4, said
    assert said.shown["outcome"] == "refused"
    assert "nothing was changed" in said.err
    return said.failed()
