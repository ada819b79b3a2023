"""The link to the agents: MQTT over one or several independent brokers at once.

Every message goes out over all brokers that are connected, and the first copy that comes
in counts. A broker that is down or frozen holds nobody up: each has its own task, its own
bounded queue, and is tried again within a second.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import aiomqtt
import structlog

from controller.core.events import RenewCame, ReportCame
from controller.status import BrokerStatus
from protocol.intake import Intake, Reason, Rejected
from protocol.messages import Message, Renew, Report
from protocol.topics import parse, read_by_controller, topic

KEEPALIVE_S = 5
TIMEOUT_S = 3.0
INCOMING_AT_MOST = 10_000
OUTGOING_AT_MOST = 2048
RETRY_LEAST_S = 0.2
RETRY_MOST_S = 1.0
SAY_AGAIN_S = 10.0
DENIED = 0x80
"""From this code on, a SUBACK says no."""

log = structlog.get_logger("link")

OnEvent = Callable[[ReportCame | RenewCame], None]


class BrokerLogin(NamedTuple):
    """Where a broker is and how to prove to it who we are."""

    name: str
    """host:port."""
    host: str
    port: int
    username: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None


class Denied(Exception):
    """The broker does not let the controller read what agents write."""


@dataclass
class Counts:
    """What came in since the start."""

    accepted: Counter[str] = field(default_factory=Counter)
    """By kind of message."""
    rejected: Counter[str] = field(default_factory=Counter)
    """By protocol.intake.Reason."""


class Gate:
    """Lets in what counts, and counts by reason what does not."""

    def __init__(self, cluster: str, agents: frozenset[str], on_event: OnEvent) -> None:
        self._agents = agents
        self._on_event = on_event
        self._intake = Intake(cluster)
        self._cluster = cluster
        self.counts = Counts()
        self._said_s: dict[Reason, float] = {}
        self._unsaid: Counter[Reason] = Counter()

    def take(self, topic_text: str, raw: bytes, retained: bool) -> None:
        """Hand a message on, or put it aside."""
        try:
            event = self._judge(topic_text, raw, retained)
        except Rejected as rejected:
            self._put_aside(rejected, topic_text)
            return
        self.counts.accepted["report" if isinstance(event, ReportCame) else "renew"] += 1
        self._on_event(event)

    def _judge(self, topic_text: str, raw: bytes, retained: bool) -> ReportCame | RenewCame:
        where = parse(topic_text)
        if where is None or where.cluster != self._cluster:
            raise Rejected(Reason.UNKNOWN_TOPIC, "not a topic of this cluster")
        if where.agent not in self._agents:
            raise Rejected(Reason.IMPOSTOR, "the configuration declares no such agent")
        if retained:
            # A broker's memory: it may be of any age, and agents never ask for it.
            raise Rejected(Reason.STALE, "kept by the broker from before")
        if where.kind == "report":
            return ReportCame(self._intake.take(raw, Report, where.agent))
        if where.kind == "renew":
            return RenewCame(self._intake.take(raw, Renew, where.agent))
        raise Rejected(Reason.UNKNOWN_TOPIC, "agents do not write here")

    def _put_aside(self, rejected: Rejected, topic_text: str) -> None:
        reason = rejected.reason
        self.counts.rejected[reason.value] += 1
        if reason is Reason.STALE:
            # The second copy of every message, where there are several brokers.
            return
        self._unsaid[reason] += 1
        now_s = time.monotonic()
        if now_s - self._said_s.get(reason, -SAY_AGAIN_S) < SAY_AGAIN_S:
            return
        self._said_s[reason] = now_s
        log.warning(
            "messages were put aside",
            reason=reason.value,
            count=self._unsaid.pop(reason),
            last_topic=topic_text[:200],
            last=str(rejected)[:300],
        )


class BrokerLink:
    """One broker: connects, hears, speaks, and connects again."""

    def __init__(self, login: BrokerLogin, cluster: str, gate: Gate) -> None:
        self.login = login
        self._cluster = cluster
        self._gate = gate
        self._outgoing: deque[tuple[str, bytes]] = deque()
        self._filled = asyncio.Event()
        self._connected = False
        self._problem = "not connected yet"
        self._said = ""
        self._dropped = 0

    @property
    def status(self) -> BrokerStatus:
        return BrokerStatus(self.login.name, self._connected, self._problem, self._dropped)

    def publish(self, where: str, payload: bytes) -> None:
        """Send to this broker when it is connected; the oldest makes room when it is slow."""
        if not self._connected:
            return
        if len(self._outgoing) >= OUTGOING_AT_MOST:
            self._outgoing.popleft()
            self._dropped += 1
        self._outgoing.append((where, payload))
        self._filled.set()

    async def run(self) -> None:
        """Stay connected, until cancelled."""
        while True:
            try:
                await self._session()
            except* Exception as group:  # noqa: BLE001 - no broker may end the controller
                self._lost(_first(group))
            await asyncio.sleep(random.uniform(RETRY_LEAST_S, RETRY_MOST_S))

    async def _session(self) -> None:
        login = self.login
        client = aiomqtt.Client(
            login.host,
            login.port,
            username=login.username,
            password=login.password,
            identifier=f"saling-controller-{self._cluster}",
            clean_session=True,
            keepalive=KEEPALIVE_S,
            timeout=TIMEOUT_S,
            max_queued_incoming_messages=INCOMING_AT_MOST,
            max_inflight_messages=20,
            max_queued_outgoing_messages=OUTGOING_AT_MOST,
            tls_context=login.tls,
        )
        try:
            async with client:
                for filter_text in read_by_controller(self._cluster):
                    await self._subscribe(client, filter_text)
                self._won()
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._speak(client))
                    group.create_task(self._hear(client))
        finally:
            self._connected = False
            self._outgoing.clear()

    async def _subscribe(self, client: aiomqtt.Client, filter_text: str) -> None:
        codes = await client.subscribe(filter_text, qos=0)
        if any((code if isinstance(code, int) else code.value) >= DENIED for code in codes):
            raise Denied(
                f"may not read {filter_text}: give the controller's account that right at the "
                "broker"
            )

    async def _hear(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            self._gate.take(str(message.topic), message.payload, message.retain)

    async def _speak(self, client: aiomqtt.Client) -> None:
        while True:
            await self._filled.wait()
            self._filled.clear()
            for where, payload in self._drained():
                await client.publish(where, payload, qos=0)

    def _drained(self) -> Iterator[tuple[str, bytes]]:
        """What waits, until nothing does; more may come while one is sent."""
        while self._outgoing:
            yield self._outgoing.popleft()

    def _won(self) -> None:
        self._connected = True
        self._problem = self._said = ""
        log.info("connected to the broker", broker=self.login.name)

    def _lost(self, problem: str) -> None:
        self._problem = problem
        if problem != self._said:
            self._said = problem
            log.warning("no connection to the broker", broker=self.login.name, problem=problem)


class Link:
    """All brokers at once."""

    def __init__(
        self,
        logins: tuple[BrokerLogin, ...],
        cluster: str,
        agents: frozenset[str],
        on_event: OnEvent,
    ) -> None:
        self._cluster = cluster
        self._gate = Gate(cluster, agents, on_event)
        self._links = tuple(BrokerLink(login, cluster, self._gate) for login in logins)

    @property
    def counts(self) -> Counts:
        """What came in since the start."""
        return self._gate.counts

    @property
    def brokers(self) -> tuple[BrokerStatus, ...]:
        """Each broker as it is now."""
        return tuple(link.status for link in self._links)

    def publish(self, agent: str, kind: type[Message], payload: bytes) -> None:
        """Send to an agent over every broker that is connected. Never waits."""
        where = topic(self._cluster, agent, kind)
        for link in self._links:
            link.publish(where, payload)

    async def run(self) -> None:
        """Stay connected to all brokers, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for link in self._links:
                group.create_task(link.run(), name=f"broker {link.login.name}")


def _first(group: BaseExceptionGroup[Exception]) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__


def tls_context(ca_file: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """TLS 1.3 with the broker's certificate checked. Raises OSError, ssl.SSLError."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context
