"""One real agent with a real engine and guard, and a grantor that says yes: no partner, no lab.

The agent is `agents.daemon` as a process of its own; it is leased by an Order, asks over a real
broker, and its engine is writable under the deadline that its guard holds. Only the controller
is a stand-in: it echoes every start's nonce at once and grants whatever is asked with a proof or
for a first lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import aiomqtt
import asyncpg
import msgspec

from agents.assembly import engine_of
from agents.guard.client import GuardClient, GuardGone, GuardStatus
from config.agent import AgentConfig
from config.loader import load_agent
from controller.broker import EmbeddedBroker, agent_account, controller_account
from lab.base.binaries import wheel_binaries
from lab.base.database import Login
from lab.base.keys import LabKeys, make_keys
from lab.base.plan import CLUSTER, Plan, Service, agent_of, write_agent
from lab.base.processes import Child, end_all, module, pids_of, processes_in
from lab.base.records import now_ms
from lab.running.four_sites import LOGIN
from protocol.messages import (
    Assignment,
    Goal,
    Grant,
    Granted,
    Header,
    LeaseTerms,
    Order,
    Renew,
    ReplicaReport,
    Report,
    Right,
)
from protocol.sealing import Signer
from protocol.topics import parse, read_by_controller, topic

SERVICE = "paspor"
SITE = "jabodetabek"
SOCKET_DATABASE = "sockets"
"""The writer over the socket has a database of its own, for each counts its own numbers."""
LOOK_AGAIN_S = 0.01
ORDER_EVERY_S = 0.25
STOP_LIMIT_S = 30.0


class Grantor:
    """Stands in for the controller: one Order, and a grant for every question."""

    def __init__(self, broker: EmbeddedBroker, keys: LabKeys, assignment: Assignment) -> None:
        self._broker = broker
        self._password = keys.controller.password_file.read_text()
        self._signer = Signer.from_file(keys.controller.signing_key)
        self._assignment = assignment
        self._number = 0
        self.report: ReplicaReport | None = None
        self.life = ""
        """The agent's present life."""

    async def run(self) -> None:
        """Until cancelled."""
        broker, password = self._broker, self._password
        client = aiomqtt.Client(broker.host, broker.port, username="controller", password=password)
        async with client:
            for filter_text in read_by_controller(CLUSTER):
                await client.subscribe(filter_text)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._order_regularly(client))
                async for message in client.messages:
                    where = parse(str(message.topic))
                    if where is not None:
                        await self._hear(client, where.kind, bytes(message.payload))

    async def _order_regularly(self, client: aiomqtt.Client) -> None:
        while True:
            await self._order(client)
            await asyncio.sleep(ORDER_EVERY_S)

    async def _hear(self, client: aiomqtt.Client, kind: str, raw: bytes) -> None:
        if kind == "report":
            report = msgspec.json.decode(raw, type=Report)
            self.life = report.header.incarnation
            self.report = report.replicas[0] if report.replicas else None
            if self.report is not None and self.report.start_nonce:
                await self._order(client)
            return
        renew = msgspec.json.decode(raw, type=Renew)
        known = self._assignment
        grants = tuple(
            Granted(
                service=ask.service,
                service_uid=ask.service_uid,
                epoch=known.epoch,
                revision=known.revision,
                nonce=ask.nonce,
                grantor_set=known.grantor_set,
                ttl_ms=known.terms.ttl_ms,
            )
            for ask in renew.asks
            if not ask.handover
        )
        agent = known.primary
        sealed = self._signer.seal(Grant(self._header(), agent, grants), agent)
        await client.publish(topic(CLUSTER, agent, Grant), sealed)

    async def _order(self, client: aiomqtt.Client) -> None:
        nonce = self.report.start_nonce if self.report else ""
        told = msgspec.structs.replace(self._assignment, start_nonce=nonce)
        agent = told.primary
        sealed = self._signer.seal(Order(self._header(), agent, 1, "store", (told,)), agent)
        await client.publish(topic(CLUSTER, agent, Order), sealed)

    def _header(self) -> Header:
        self._number += 1
        return Header(CLUSTER, "controller", "boot", "life", self._number)


@dataclass
class LoneAgent:
    """`async with LoneAgent(...)` has it writable; afterwards nothing of it is left."""

    directory: Path
    terms: LeaseTerms
    binaries: Path = field(default_factory=wheel_binaries)

    def __post_init__(self) -> None:
        service = Service(SERVICE, (SITE, "batam"))
        self.plan = Plan(self.directory, (service,), 1, self.binaries)
        self.agent = Child(
            agent_of(SITE),
            self.plan.site_directory(SITE) / "agent.log",
            module("agents.daemon", "--config", str(self.plan.agent_file(SITE))),
        )
        self.config: AgentConfig
        self.guard: GuardClient
        self.grantor: Grantor
        self._broker: EmbeddedBroker
        self._granting: asyncio.Task[None]
        self._started: contextlib.AsyncExitStack

    async def __aenter__(self) -> LoneAgent:
        async with contextlib.AsyncExitStack() as stack:
            await self._start(stack)
            self._started = stack.pop_all()
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self._started.aclose()

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        """What was started ends in the opposite order, also when the start fails half-way."""
        keys = make_keys(self.directory / "keys", (agent_of(SITE),), {})
        broker = self.plan.address("broker 0")
        write_agent(self.plan, keys, SITE, {broker: broker})
        self.config = load_agent(self.plan.agent_file(SITE)).value
        self.password_file = keys.database_password_file
        local = self.config.services[0]
        engine = engine_of(local)
        identifier = await engine.create()
        await engine.close()
        await self._start_granting(stack, keys, identifier)
        stack.push_async_callback(end_all, self.plan.site_directory(SITE))
        stack.push_async_callback(self.agent.end, signal.SIGKILL)
        self.agent.start()
        self.guard = GuardClient(local.socket_directory, local.data_directory)
        stack.push_async_callback(self.guard.close)
        await self.until_writable("")
        await self._prepare_database()

    async def _stop_granting(self) -> None:
        """Raises TimeoutError. Until Python 3.12 a cancel that meets an answer may get lost."""
        end_ms = now_ms() + STOP_LIMIT_S * 1000
        while not self._granting.done():
            if now_ms() > end_ms:
                raise TimeoutError(f"the grantor does not end within {STOP_LIMIT_S:.0f} s")
            self._granting.cancel()
            await asyncio.wait({self._granting}, timeout=1)
        if not self._granting.cancelled():
            await self._granting

    async def _start_granting(
        self, stack: contextlib.AsyncExitStack, keys: LabKeys, identifier: str
    ) -> None:
        name = agent_of(SITE)
        accounts = [
            controller_account(CLUSTER, "controller", keys.controller.password_file.read_text()),
            agent_account(CLUSTER, name, keys.agents[name].password_file.read_text()),
        ]
        self._broker = EmbeddedBroker(
            self.directory / "broker", self.plan.address("broker 0"), accounts
        )
        stack.push_async_callback(self._broker.stop)
        await self._broker.start()
        assignment = Assignment(
            service=SERVICE,
            service_uid=SERVICE,
            term=1,
            revision=1,
            epoch=1,
            goal=Goal.PRIMARY,
            right=Right.LEASED,
            primary=name,
            grantors=("controller",),
            grantor_set=1,
            terms=self.terms,
            system_identifier=identifier,
        )
        self.grantor = Grantor(self._broker, keys, assignment)
        self._granting = asyncio.create_task(self.grantor.run(), name="grantor")
        stack.push_async_callback(self._stop_granting)

    async def stop_in_order(self) -> list[int]:
        """`saling-agent stop`; the processes that are left after it. Raises RuntimeError."""
        stop = Child(
            "stop",
            self.directory / "stop.log",
            module("agents.daemon", "stop", "--yes", "--config", str(self.plan.agent_file(SITE))),
        )
        stop.start()
        await stop.gone()
        await self.agent.gone(10)
        return pids_of(self.plan.site_directory(SITE))

    async def until_writable(self, old_life: str, wait_s: float = 60.0) -> None:
        """Until a life of the agent other than this one says that it writes. TimeoutError."""
        end_ms = now_ms() + wait_s * 1000
        while now_ms() < end_ms:
            report = self.grantor.report
            if report is not None and report.writable and self.grantor.life != old_life:
                return
            if self._granting.done():
                await self._granting
            await asyncio.sleep(LOOK_AGAIN_S)
        raise TimeoutError(
            f"the agent does not write after {wait_s:.0f} s; last report {self.grantor.report}\n"
            f"{self.agent.last_words()}"
        )

    async def status(self) -> GuardStatus | None:
        """What the guard says; None while there is none."""
        try:
            return await self.guard.status()
        except GuardGone:
            return None

    def engine_processes(self) -> list[int]:
        """All processes of the engine, as the host counts them."""
        return processes_in(self.config.services[0].data_directory)

    def targets(self) -> dict[str, tuple[str, Login]]:
        """How writers reach the engine: over TCP and over its socket, each in its database."""
        local = self.config.services[0]
        port = local.listen.rpartition(":")[2]
        return {
            "tcp": (local.listen, Login("postgres", LOGIN, str(self.password_file))),
            "socket": (
                f"{local.socket_directory / 'socket'}:{port}",
                Login(SOCKET_DATABASE, "saling"),
            ),
        }

    async def connect(self, database: str = "postgres") -> asyncpg.Connection:
        """As the superuser, over the socket. Raises OSError while it is down."""
        local = self.config.services[0]
        return await asyncpg.connect(
            host=str(local.socket_directory / "socket"),
            port=int(local.listen.rpartition(":")[2]),
            user="saling",
            database=database,
            timeout=5,
            command_timeout=60,
        )

    async def _prepare_database(self) -> None:
        password = self.password_file.read_text().strip()
        connection = await self.connect()
        try:
            await connection.execute(f"CREATE ROLE {LOGIN} LOGIN PASSWORD '{password}'")
            await connection.execute(f"GRANT CREATE, USAGE ON SCHEMA public TO {LOGIN}")
            await connection.execute(f"CREATE DATABASE {SOCKET_DATABASE}")
        finally:
            await connection.close(timeout=2)


class Ends:
    """Sees these processes end: a pidfd is readable from that moment on."""

    def __init__(self, pids: list[int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._gone: asyncio.Future[float] = self._loop.create_future()
        self._open: set[int] = set()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                descriptor = os.pidfd_open(pid)
                self._open.add(descriptor)
                self._loop.add_reader(descriptor, self._ended, descriptor)
        if not self._open:
            self._gone.set_result(now_ms())

    async def last_ms(self, wait_s: float) -> float:
        """When the last one had ended, on the boot-time clock. Raises TimeoutError."""
        try:
            return await asyncio.wait_for(self._gone, wait_s)
        except TimeoutError:
            left = len(self._open)
            raise TimeoutError(
                f"{left} processes of an engine live on for {wait_s:.0f} s"
            ) from None
        finally:
            self.close()

    def close(self) -> None:
        """Look no longer."""
        for descriptor in tuple(self._open):
            self._let_go(descriptor)

    def _ended(self, descriptor: int) -> None:
        self._let_go(descriptor)
        if not self._open and not self._gone.done():
            self._gone.set_result(now_ms())

    def _let_go(self, descriptor: int) -> None:
        self._open.discard(descriptor)
        self._loop.remove_reader(descriptor)
        os.close(descriptor)
