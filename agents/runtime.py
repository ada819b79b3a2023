"""The shell around the agent's rules: everything that runs, and who owns it.

One task group owns every task. When a replica's rules break an invariant, the group ends and
the process with it: the guards hold the deadlines, so nothing that is leased stays writable for
longer than its lease. What stands alone goes on, for nobody could have taken over.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import structlog
from msgspec import Struct
from msgspec.structs import replace

from agents.core.actions import AnswerAsk, SendAsk
from agents.core.events import AskCame, GrantCame, OrderCame
from agents.core.model import Replica
from agents.core.reporting import report
from agents.core.step import begin
from agents.durable import DurableFile, Kept
from agents.engines.base import Engine
from agents.guard.client import now_ms
from agents.host.surroundings import Surroundings
from agents.host.symptom_watch import Certificate
from agents.metrics import Metrics
from agents.network.desk import Desk
from agents.network.link import Gate, Link
from agents.network.log_client import LogClient
from agents.network.log_server import LogServer
from agents.network.peer_client import PeerClient
from agents.network.peers import Board, PeerServer
from agents.network.refusals import Refusals
from agents.network.voice import Voice, is_controller
from agents.replica.aside import AsideKeeper
from agents.replica.data_disk import DataDisk
from agents.replica.fencing import Fencing
from agents.replica.jobs import Fresh, Jobs, Wiring, upstream_of
from agents.replica.keeper import Guard, Keeper
from agents.replica.stranded import Stranded
from agents.replica.sync_watch import SyncWatch
from agents.replica.turns import Turns
from agents.replica.upkeep import Fitness, Upkeep
from agents.replica.watch import SlotKeeper, Watch
from agents.replica.worker import Worker
from agents.state_disk import StateDisk
from agents.veto.file import Veto
from agents.veto.keeper import VetoKeeper
from config.agent import AgentConfig
from protocol.messages import CONTROLLER, Ask, Grant, Order, ReplicaReport
from protocol.windows import silence_ms

TICK_S = 0.025
REPORT_EVERY_S = 0.5
REPORT_COALESCE_S = 0.003
ASK_COALESCE_S = 0.002
PROBLEM_AT_MOST = 800

log = structlog.get_logger("agent")


class Local(Struct, frozen=True):
    """One service of this host: its engine, its guard, its file, and what the file said."""

    engine: Engine
    guard: Guard
    file: DurableFile
    kept: Kept
    replication_user: str
    uid: str


class Parts(Struct, frozen=True):
    """What an agent is made of. Built by `agents.assembly`."""

    config: AgentConfig
    voice: Voice
    life: str
    locals: Mapping[str, Local]
    metrics: Metrics
    server_tls: ssl.SSLContext
    client_tls: ssl.SSLContext
    certificate: Certificate
    veto: Veto | None = None
    """What an operator of this host forbade in an earlier life."""


class Unit:
    """One replica with everything around it."""

    def __init__(
        self,
        name: str,
        local: Local,
        worker: Worker,
        fresh: Fresh,
        parts: Parts,
        group: asyncio.TaskGroup,
        turns: Turns,
        report_soon: Callable[[], None],
        state_disk: StateDisk,
    ) -> None:
        config, metrics, put = parts.config, parts.metrics, worker.mailbox.put
        engine = local.engine
        self.worker = worker
        self._state_disk = state_disk
        self._reached = config.reached
        self.timings = metrics.timings(name)
        service = config.service(name)
        fencing = Fencing(name, service.fences, service.listen, self._partner, put, metrics)
        self.keeper = Keeper(name, local.guard, engine, put, fresh, metrics, fencing)
        logs = LogClient(parts.client_tls, config.reached)
        wiring = Wiring(config.agent, local.replication_user, config.reached, logs.source)
        self.jobs = Jobs(name, engine, wiring, put, fresh, metrics, group, turns)
        self.stranded = Stranded(
            name,
            engine,
            lambda: worker.replica,
            lambda partner, system: upstream_of(partner, system, wiring),
            fresh,
        )
        self.watch = Watch(
            name, engine, declared_by(config), put, fresh, lambda: self.stranded.reason
        )
        self.slots = SlotKeeper(name, engine, lambda: worker.replica, fresh)
        declared = config.service(name)
        removes = declared.old_copies == "remove"
        self.aside = AsideKeeper(name, engine, lambda: worker.replica, fresh, metrics, removes)
        self.upkeep = Upkeep(name, engine, lambda: worker.replica, fresh)
        self.fitness = Fitness(name, engine, wiring, lambda: worker.replica, fresh, report_soon)
        self.sync = SyncWatch(name, engine, lambda: worker.replica, fresh, report_soon)
        self.disk = DataDisk(
            name, declared.data_directory, declared.disk_floor_bytes, metrics, report_soon
        )
        worker.connect(self.keeper, self.jobs)
        beside = (self.slots, self.stranded, self.aside, self.upkeep, self.fitness)
        slow = (*beside, self.sync, self.disk)
        for part in (self.keeper, self.watch, *slow, worker):
            group.create_task(part.run(), name=f"{name}: {type(part).__name__.lower()}")

    def _partner(self) -> str:
        """Where the other copy's engine is reached; empty while none is known."""
        assignment = self.worker.replica.durable.assignment
        partner = assignment.partner if assignment else None
        return self._reached(partner.engine_address) if partner else ""

    def told(self, at_ms: int) -> ReplicaReport:
        """What the rules say, and what they cannot know."""
        told = report(self.worker.settled, at_ms)
        slots = self.slots.problem or self.slots.others
        disk = self._state_disk.problem
        urgent = (self.worker.problem, disk, self.keeper.problem)
        slow = (self.stranded.problem, slots, self.upkeep.problem, self.disk.problem)
        beside = (*urgent, self.watch.problem, *slow, self.sync.problem)
        # What the rules last knew of an engine that cannot be ended is of before its kill.
        known = self.keeper.ending.stuck or told.problem
        problem = known or next((text for text in beside if text), "")
        return replace(
            told,
            problem=problem[:PROBLEM_AT_MOST],
            cannot_promise=told.cannot_promise or bool(disk),
            unfit=self.fitness.unfit,
            weakened=self.sync.weakened,
            cancelled_waits=self.sync.cancelled,
            renewal_gap_p999_ms=self.timings.renewal_gap_p999_ms,
            kill_p999_ms=self.timings.kill_p999_ms,
            quarantine=self.aside.quarantine[:PROBLEM_AT_MOST],
            disk_low=self.disk.low[:PROBLEM_AT_MOST],
            disk_free_bytes=self.disk.free_bytes,
        )


class Agent:
    """One agent. `run` works until it is cancelled or an invariant breaks."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._voice = parts.voice
        self._units: dict[str, Unit] = {}
        self._desk = Desk(self._put_ask)
        self._refusals = Refusals(parts.metrics)
        self._peers: PeerClient
        self._asks: list[Ask] = []
        self._report_due = False
        self.ready = asyncio.Event()
        config = parts.config
        gate = Gate(
            config.cluster,
            config.agent,
            config.controller_public_key,
            self._hear_controller,
            self._refusals,
        )
        self._link = Link(config.brokers, config.cluster, config.agent, gate, parts.metrics)
        self._board = Board(self.replica, tuple(parts.locals))
        logs = LogServer({n: x.engine for n, x in parts.locals.items()}, self.settled)
        engines = [local.engine for local in parts.locals.values()]
        self._around = Surroundings(config, parts.certificate, engines, parts.metrics, now_ms)
        self._server = PeerServer(
            *(parts.voice, self._desk, self._board, self._refusals, parts.metrics, logs, now_ms),
            more=self._around.desk.routes(),
        )
        parts.metrics.show(self._replicas, now_ms)

    @property
    def port(self) -> int:
        """Where it listens, once `ready` is set."""
        return self._server.port

    def replica(self, name: str) -> Replica | None:
        """A replica as it is now; None for a service that is not here."""
        unit = self._units.get(name)
        return unit.worker.replica if unit else None

    def settled(self, name: str) -> Replica | None:
        """A replica as far as all that it decided is done; None for a service not here."""
        unit = self._units.get(name)
        return unit.worker.settled if unit else None

    async def run(self) -> None:
        """Work, until cancelled. Raises InvariantBroken, OSError, in a group."""
        parts = self._parts
        # A disk that hangs must hold up neither another service's file nor our end.
        disk = ThreadPoolExecutor(max(1, len(parts.locals)), thread_name_prefix="disk")
        try:
            async with asyncio.TaskGroup() as group:
                self._peers = PeerClient(
                    self._voice,
                    parts.client_tls,
                    parts.config.reached,
                    self._hear_partner,
                    self._refusals,
                    parts.metrics,
                    group,
                )
                self._start(group, disk)
                try:
                    await self._keep_time()
                finally:
                    await self._peers.close()
        finally:
            disk.shutdown(wait=False)

    def _start(self, group: asyncio.TaskGroup, disk: ThreadPoolExecutor) -> None:
        parts, turns, config = self._parts, Turns(), self._parts.config
        self._around.begin(parts.client_tls, group)
        disk_watch = StateDisk(config.state_directory, parts.metrics)
        group.create_task(disk_watch.run(), name="state disk")
        vetoes = VetoKeeper(
            config.state_directory, parts.veto, parts.life, self._workers, self.report_soon
        )
        group.create_task(vetoes.run(), name="hold")
        for name, local in parts.locals.items():
            fresh = Fresh()
            worker = Worker(
                begin_replica(parts, name, local),
                local.file,
                disk,
                self,
                fresh,
                parts.metrics,
                now_ms,
            )
            self._units[name] = Unit(
                name, local, worker, fresh, parts, group, turns, self.report_soon, disk_watch
            )
        group.create_task(self._link.run(), name="link")
        serving = self._server.run(config.listen, parts.server_tls, self.ready)
        group.create_task(serving, name="peer server")
        group.create_task(self._report_regularly(), name="reports")

    async def _keep_time(self) -> None:
        """Ticks do not pile up: a replica that is busy has one waiting."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            for unit in self._units.values():
                unit.worker.tick()
            # After a pause of the machine, time goes on from now.
            due_s = max(due_s + TICK_S, loop.time())
            await asyncio.sleep(due_s - loop.time())

    async def _report_regularly(self) -> None:
        while True:
            self._report()
            await asyncio.sleep(REPORT_EVERY_S)

    # What leaves (agents.replica.worker.Outside).

    def send_ask(self, replica: Replica, ask: SendAsk) -> None:
        """To the controller over the brokers, to a partner over HTTPS."""
        if is_controller(ask.grantor):
            if not self._asks:
                asyncio.get_running_loop().call_later(ASK_COALESCE_S, self._send_asks)
            self._asks.append(ask.ask)
            return
        assignment = replica.durable.assignment
        if ask.partner is None or assignment is None:
            labels = (replica.service, ask.grantor, "no_way")
            self._parts.metrics.renewals.labels(*labels).inc()
            return
        self._peers.ask(ask.ask, ask.partner, silence_ms(assignment.terms))

    def answer(self, answer: AnswerAsk) -> None:
        """To the partner that waits for it."""
        self._desk.answer(answer)

    def give_up(self, question: str) -> None:
        """The partner will not be answered."""
        self._desk.give_up(question)

    def report_soon(self) -> None:
        """All replicas in one Report, within milliseconds."""
        if not self._report_due:
            self._report_due = True
            asyncio.get_running_loop().call_later(REPORT_COALESCE_S, self._report)

    def _send_asks(self) -> None:
        asks, self._asks = tuple(self._asks), []
        self._link.publish(self._voice.renew(asks))

    def _report(self) -> None:
        self._report_due = False
        at_ms = now_ms()
        told = tuple(unit.told(at_ms) for unit in self._units.values())
        self._link.publish(self._around.complete(self._voice.report(told), at_ms))

    # What comes in.

    def _hear_controller(self, message: Order | Grant) -> None:
        if isinstance(message, Grant):
            self._hear_partner(CONTROLLER, message)
            return
        self._around.take(message)
        for assignment in message.assignments:
            unit = self._units.get(assignment.service)
            if unit is not None:
                unit.worker.mailbox.put(OrderCame(assignment))

    def _hear_partner(self, grantor: str, grant: Grant) -> None:
        for granted in grant.grants:
            unit = self._units.get(granted.service)
            if unit is not None:
                unit.worker.mailbox.put(GrantCame(grantor, granted))

    def _put_ask(self, service: str, event: AskCame) -> bool:
        unit = self._units.get(service)
        if unit is None:
            return False
        unit.worker.mailbox.put(event)
        return True

    def _workers(self) -> list[Worker]:
        return [unit.worker for unit in self._units.values()]

    def _replicas(self) -> list[Replica]:
        return [unit.worker.replica for unit in self._units.values()]


def begin_replica(parts: Parts, name: str, local: Local) -> Replica:
    """A replica at the start of this life, with what the file says."""
    uid = local.kept.service_uid or local.uid
    at_ms = now_ms()
    replica = begin(parts.config.agent, name, uid, parts.life, local.kept.durable, at_ms)
    veto = parts.veto
    if veto is None:
        return replica
    return replace(replica, veto=veto.text, veto_end_ms=at_ms + veto.left_ms)


def declared_by(config: AgentConfig) -> Callable[[str], str]:
    """From an address that an engine follows back to the one that was declared."""
    back = {actual: declared for declared, actual in config.reach.items()}

    def declared(actual: str) -> str:
        host, _, port = actual.rpartition(":")
        # Engines say IPv6 addresses without their brackets.
        bracketed = f"[{host}]:{port}" if ":" in host else actual
        return back.get(bracketed, bracketed)

    return declared
