"""Real agents as processes, real PostgreSQL, a real broker; only the controller is scripted."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
import yaml

from agents.guard.client import GuardClient, GuardGone, now_ms
from config.agent import AgentConfig
from config.loader import load_agent
from controller.broker import EmbeddedBroker
from protocol.messages import Goal, LeaseTerms, Mode, Right, Role

pytestmark = [pytest.mark.postgres, pytest.mark.broker, pytest.mark.timeout(240)]
Until = Callable[[Callable[[], object], str], Awaitable[None]]
ROOT = Path(__file__).resolve().parents[2]
HOME, AWAY = "batam-1", "ikn-1"
SERVICE = "paspor"
LONG = LeaseTerms(
    ttl_ms=12_000, renew_ms=300, fence_budget_ms=300, restart_budget_ms=1000, drain_budget_ms=5000
)
"""An agent starts anew within such a lease, on a machine under load as well."""


class RealAgent:
    """One agent process and what it runs."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.config: AgentConfig = load_agent(file).value
        self._process: asyncio.subprocess.Process | None = None

    @property
    def addresses(self) -> tuple[str, str]:
        return self.config.listen, self.config.services[0].listen

    async def command(self, *arguments: str, wait: bool = False) -> asyncio.subprocess.Process:
        with self.file.with_suffix(".log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "agents.daemon", *arguments),
                *("--config", str(self.file)),
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        if wait:
            await asyncio.wait_for(process.wait(), 60)
        return process

    async def start(self) -> None:
        self._process = await self.command()

    async def end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return await asyncio.wait_for(self._process.wait(), 30)

    async def stop_everything(self) -> None:
        stopped = await self.command("stop", "--yes", wait=True)
        if self._process is not None:
            await asyncio.wait_for(self._process.wait(), 30)
        assert stopped.returncode == 0, self.log()

    async def engine_pid(self) -> int | None:
        service = self.config.services[0]
        guard = GuardClient(service.socket_directory, service.data_directory)
        try:
            status = await guard.status()
        except GuardGone:
            return None
        finally:
            await guard.close()
        return status.engine.pid if status.engine else None

    async def status_of(self, path: str) -> tuple[int, dict[str, Any]]:
        insecure = ssl.create_default_context()
        insecure.check_hostname = False
        insecure.verify_mode = ssl.CERT_NONE
        connector = aiohttp.TCPConnector(ssl=insecure)
        url = f"https://{self.config.listen}{path}"
        async with aiohttp.ClientSession(connector=connector) as http, http.get(url) as answer:
            return answer.status, await answer.json()

    async def write(self, *statements: str) -> None:
        service = self.config.services[0]
        port = service.listen.rpartition(":")[2]
        connection = await asyncpg.connect(
            host=str(service.socket_directory / "socket"),
            port=int(port),
            user="saling",
            database="postgres",
            timeout=5,
        )
        try:
            await connection.execute("CREATE TABLE IF NOT EXISTS t (x int)", timeout=5)
            for statement in statements or ("INSERT INTO t VALUES (1)",):
                await connection.execute(statement, timeout=30)
        finally:
            connection.terminate()

    def set_for_service(self, **more: object) -> None:
        """Changes the service's entry in its file, before it starts."""
        content = yaml.safe_load(self.file.read_text())
        content["services"][0].update(more)
        self.file.write_text(yaml.safe_dump(content))

    def log(self) -> str:
        file = self.file.with_suffix(".log")
        return file.read_text()[-5000:] if file.exists() else "(it was not started)"


@pytest.fixture
async def home(
    configure: Callable[..., Path], broker: EmbeddedBroker, binaries: Path
) -> AsyncIterator[RealAgent]:
    agent = RealAgent(configure(HOME, f"{broker.host}:{broker.port}", binaries))
    yield agent
    print(f"log of {HOME}:\n{agent.log()}")
    await agent.stop_everything()


@pytest.fixture
async def away(
    configure: Callable[..., Path], broker: EmbeddedBroker, binaries: Path
) -> AsyncIterator[RealAgent]:
    agent = RealAgent(configure(AWAY, f"{broker.host}:{broker.port}", binaries))
    yield agent
    print(f"log of {AWAY}:\n{agent.log()}")
    await agent.stop_everything()


async def test_agent_stands_alone_then_is_leased_survives_its_own_death_and_is_fenced_in_time(
    home: RealAgent, away: RealAgent, controller: Any, orders: Any, until: Until
) -> None:
    orders.addresses = {HOME: home.addresses, AWAY: away.addresses}
    reports = controller.reports

    # Alone: it makes the data and writes, for an Order echoed the nonce of its start.
    await home.start()
    controller.orders[HOME] = orders.make(Goal.PRIMARY, Right.ALONE, 1, create=True)
    await until(lambda: HOME in reports and reports[HOME].writable, "home writes alone")
    assert reports[HOME].mode is Mode.ALONE
    assert reports[HOME].service_uid == "paspor-2026"
    await home.write()
    assert (await home.command("stop", wait=True)).returncode == 4
    assert "move it first: saling switchover paspor" in home.log()
    await home.write()
    system = reports[HOME].system_identifier
    status, said = await home.status_of("/primary")
    assert (status, said["role"]) == (200, "primary")

    # Its backup is seeded and streams.
    await away.start()
    known = {"system_identifier": system}
    controller.orders[HOME] = orders.make(Goal.PRIMARY, Right.ALONE, 2, **known)
    controller.orders[AWAY] = orders.make(Goal.BACKUP, Right.ALONE, 2, **known)
    await until(lambda: AWAY in reports and reports[AWAY].streaming, "away streams")
    assert (await away.status_of("/replica"))[0] == 200
    assert (await away.status_of("/primary"))[0] == 503

    # Armed: a grant of that very backup makes it leased.
    grantors = {"grantors": ("controller", AWAY), "terms": LONG, **known}
    controller.orders[AWAY] = orders.make(Goal.BACKUP, Right.ARMING, 3, may_grant=True, **grantors)
    controller.orders[HOME] = orders.make(Goal.PRIMARY, Right.ARMING, 3, **grantors)
    await until(lambda: reports[HOME].mode is Mode.LEASED, "home is leased")
    controller.orders[AWAY] = orders.make(Goal.BACKUP, Right.LEASED, 4, may_grant=True, **grantors)
    controller.orders[HOME] = orders.make(Goal.PRIMARY, Right.LEASED, 4, **grantors)
    await until(lambda: reports[AWAY].primary_heard and reports[HOME].revision == 4, "it renews")

    # Killed and started again within its lease: the engine never stopped.
    pid, life = await home.engine_pid(), controller.headers[HOME].incarnation
    assert pid is not None
    await home.end(signal.SIGKILL)
    await home.write()
    await home.start()
    await until(lambda: controller.headers[HOME].incarnation != life, "a new life")
    await until(lambda: reports[HOME].writable and reports[HOME].start_nonce == "", "it goes on")
    assert await home.engine_pid() == pid
    assert controller.headers[HOME].incarnation.split("-")[0] == "2"

    # Nobody grants any more: it is fenced before its lease has ended.
    controller.grants = False
    controller.orders[AWAY] = orders.make(Goal.BACKUP, Right.LEASED, 5, **grantors)
    await until(lambda: reports[AWAY].stopped, "away stops granting")
    stopped_ms = now_ms()
    await until(lambda: asyncio_gone(pid), "the engine is ended")
    assert now_ms() - stopped_ms < LONG.ttl_ms
    await until(lambda: not reports[HOME].writable, "home says so")
    assert (await home.status_of("/primary"))[0] == 503
    await until(lambda: reports[HOME].role is Role.STANDBY, "it rests as a standby")
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await home.write()


async def test_a_drained_primary_hands_over_all_it_has_and_comes_back_as_the_backup(
    home: RealAgent, away: RealAgent, controller: Any, orders: Any, until: Until
) -> None:
    orders.addresses = {HOME: home.addresses, AWAY: away.addresses}
    reports = controller.reports
    await home.start()
    await away.start()
    controller.orders[HOME] = orders.make(Goal.PRIMARY, Right.ALONE, 1, create=True)
    await until(lambda: HOME in reports and reports[HOME].writable, "home writes alone")
    known = {
        "system_identifier": reports[HOME].system_identifier,
        "grantors": ("controller", AWAY),
    }
    controller.orders[AWAY] = orders.make(Goal.BACKUP, Right.ARMING, 2, may_grant=True, **known)
    controller.orders[HOME] = orders.make(Goal.PRIMARY, Right.ARMING, 2, **known)
    await until(lambda: reports[HOME].mode is Mode.LEASED, "home is leased")
    await until(lambda: reports[AWAY].streaming, "away streams")
    await home.write()

    controller.orders[AWAY] = orders.make(Goal.BACKUP, Right.LEASED, 3, may_grant=True, **known)
    controller.orders[HOME] = orders.make(Goal.DRAIN, Right.LEASED, 3, **known)
    begun_ms = now_ms()
    await until(lambda: reports[HOME].released, "home gave its lease back")
    new = {**known, "epoch": 2, "primary": AWAY, "grantors": ("controller", HOME)}
    moved = orders.make(Goal.PRIMARY, Right.LEASED, 4, **new, partner=orders.partner(HOME))
    controller.orders[AWAY] = moved
    controller.orders[HOME] = orders.make(
        Goal.BACKUP, Right.LEASED, 4, **new, partner=orders.partner(AWAY), may_grant=True
    )
    await until(lambda: reports[AWAY].writable, "away writes")
    print(f"writable again {now_ms() - begun_ms} ms after the order to drain")
    await until(lambda: reports[HOME].streaming, "home follows")
    await away.write()
    ends = reports[AWAY].position_bytes
    await until(lambda: reports[HOME].position_bytes >= ends, "home has it all")
    assert reports[HOME].timeline == reports[AWAY].timeline == 3
    service = away.config.services[0]
    connection = await asyncpg.connect(
        host=str(service.socket_directory / "socket"),
        port=int(service.listen.rpartition(":")[2]),
        user="saling",
        database="postgres",
    )
    assert await connection.fetchval("SELECT count(*) FROM t") == 2
    connection.terminate()


async def test_a_diverged_copy_and_one_whose_log_is_gone_come_home_without_a_hand(
    home: RealAgent, away: RealAgent, controller: Any, orders: Any, until: Until
) -> None:
    orders.addresses = {HOME: home.addresses, AWAY: away.addresses}
    reports, little = controller.reports, {"min_wal_size": "32MB", "max_wal_size": "64MB"}
    away.set_for_service(settings={"max_slot_wal_keep_size": "32MB", **little})
    await home.start()
    await away.start()
    controller.orders[HOME] = orders.make(Goal.PRIMARY, Right.ALONE, 1, create=True)
    await until(lambda: HOME in reports and reports[HOME].writable, "home writes alone")
    known = {"system_identifier": reports[HOME].system_identifier}
    controller.orders[HOME] = orders.make(Goal.PRIMARY, Right.ALONE, 2, **known)
    controller.orders[AWAY] = orders.make(Goal.BACKUP, Right.ALONE, 2, **known)
    await until(lambda: AWAY in reports and reports[AWAY].streaming, "away streams")

    # Against the rules, both are told to write: what home commits now, nobody else has.
    new = {**known, "epoch": 2, "primary": AWAY}
    moved = orders.make(Goal.PRIMARY, Right.ALONE, 3, **new, partner=orders.partner(HOME))
    controller.orders[AWAY] = moved
    await until(lambda: reports[AWAY].writable, "away writes")
    await home.write(*[f"INSERT INTO t VALUES ({number})" for number in range(9)])
    controller.orders[HOME] = orders.make(
        Goal.BACKUP, Right.ALONE, 3, **new, partner=orders.partner(AWAY)
    )
    await until(lambda: reports[HOME].streaming, "home follows")
    await until(lambda: "10 transactions, " in reports[HOME].quarantine, "nine rows and a table")

    # Home is away while away writes more than its slot may keep.
    await home.stop_everything()
    await away.write("CREATE TABLE filler (i int)")
    for _ in range(10):
        await away.write("INSERT INTO filler VALUES (1)", "SELECT pg_switch_wal()", "CHECKPOINT")
    log = away.config.services[0].data_directory / "pg_wal"
    assert sum(file.stat().st_size for file in log.glob("0*")) <= (64 + 32 + 32) * 2**20
    known_reports = len(controller.said)
    await home.start()
    await until(
        lambda: any("has removed the log" in r.problem for r in controller.said[known_reports:]),
        "home says why it is not eligible",
    )
    await until(lambda: reports[HOME].streaming, "home was copied anew and follows")
    assert list(home.config.services[0].data_directory.parent.glob("data.old-*"))


async def test_a_killed_guard_ends_its_engine_and_the_agent_starts_both_again(
    home: RealAgent, controller: Any, orders: Any, until: Until
) -> None:
    orders.addresses = {HOME: home.addresses}
    reports = controller.reports
    await home.start()
    controller.orders[HOME] = orders.make(Goal.PRIMARY, Right.ALONE, 1, create=True)
    await until(lambda: HOME in reports and reports[HOME].writable, "home writes alone")
    service = home.config.services[0]
    guard = GuardClient(service.socket_directory, service.data_directory)
    status = await guard.status()
    assert status.engine is not None
    known = len(controller.said)

    def downs() -> list[Any]:
        return [report for report in controller.said[known:] if not report.writable]

    os.kill(status.pid, signal.SIGKILL)
    await until(lambda: asyncio_gone(status.engine.pid), "the engine is gone")  # type: ignore[union-attr]
    await until(downs, "home says so")
    await until(lambda: reports[HOME].writable, "home writes again")
    await guard.close()
    assert await home.engine_pid() not in (None, status.engine.pid)


async def test_doctor_finds_nothing_to_mend_on_a_sound_host(home: RealAgent) -> None:
    process = await home.command("doctor", wait=True)
    assert process.returncode in (0, 3), home.log()


def asyncio_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
