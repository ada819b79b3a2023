"""The link to the controller: MQTT over one or several independent brokers at once.

Every message goes out over all brokers that are connected, and the first copy that comes in
counts. A broker that is down, frozen or lying holds nobody up: each has its own task, its own
bounded queue, and is tried again within a second.
"""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import aiomqtt
import msgspec
import structlog

from agents.metrics import Metrics
from agents.refusals import Refusals
from config.brokers import Broker
from config.values import split_address
from protocol.intake import Intake, Reason, Rejected
from protocol.messages import CONTROLLER, Grant, Order, Renew, Report
from protocol.sealing import Verifier
from protocol.topics import parse, read_by, topic

KEEPALIVE_S = 5
TIMEOUT_S = 3.0
INCOMING_AT_MOST = 1024
OUTGOING_AT_MOST = 64
RETRY_LEAST_S = 0.1
RETRY_MOST_S = 0.8

log = structlog.get_logger("link")

M = TypeVar("M", Order, Grant)

Heard = Callable[[Order | Grant], None]


class Denied(Exception):
    """The broker does not let this agent read its own topics."""


class Gate:
    """Lets in what the controller said to this agent, and puts the rest aside."""

    def __init__(
        self, cluster: str, agent: str, controller_key: str, heard: Heard, refusals: Refusals
    ) -> None:
        """Raises ValueError when `controller_key` is no public key."""
        self._cluster = cluster
        self._agent = agent
        self._verifier = Verifier(controller_key)
        self._intake = Intake(cluster)
        self._heard = heard
        self._refusals = refusals

    def take(self, topic_text: str, raw: bytes, retained: bool) -> None:
        """Hand a message on, or put it aside."""
        try:
            message = self._judge(topic_text, raw, retained)
        except Rejected as rejected:
            self._refusals.note(rejected, topic_text)
            return
        self._heard(message)

    def _judge(self, topic_text: str, raw: bytes, retained: bool) -> Order | Grant:
        where = parse(topic_text)
        if where is None or (where.cluster, where.agent) != (self._cluster, self._agent):
            raise Rejected(Reason.UNKNOWN_TOPIC, "not a topic of this agent")
        if retained:
            # A broker's memory: it may be of any age, and nobody asks brokers to remember.
            raise Rejected(Reason.STALE, "kept by the broker from before")
        if where.kind == "order":
            return self._open(raw, Order)
        if where.kind == "grant":
            return self._open(raw, Grant)
        raise Rejected(Reason.UNKNOWN_TOPIC, "the controller does not write here")

    def _open(self, raw: bytes, kind: type[M]) -> M:
        message = self._intake.take_sealed(raw, kind, CONTROLLER, self._agent, self._verifier)
        if message.audience != self._agent:
            raise Rejected(Reason.IMPOSTOR, f"inside it is meant for {message.audience!r}")
        return message


class BrokerLink:
    """One broker: connects, hears, speaks, and connects again."""

    def __init__(
        self, broker: Broker, cluster: str, agent: str, gate: Gate, metrics: Metrics
    ) -> None:
        self.name = broker.address
        self._broker = broker
        self._cluster = cluster
        self._agent = agent
        self._gate = gate
        self._outgoing: deque[tuple[str, bytes]] = deque()
        self._filled = asyncio.Event()
        self._gauge = metrics.broker_connected.labels(self.name)
        self._gauge.set(0)
        self._dropped = metrics.broker_dropped.labels(self.name)
        self._said = ""
        self.connected = False

    def publish(self, where: str, payload: bytes) -> None:
        """Send when connected; the oldest makes room when the broker is slow. Never waits."""
        if not self.connected:
            return
        if len(self._outgoing) >= OUTGOING_AT_MOST:
            self._outgoing.popleft()
            self._dropped.inc()
        self._outgoing.append((where, payload))
        self._filled.set()

    async def run(self) -> None:
        """Stay connected, until cancelled."""
        while True:
            try:
                await self._session()
            except* Exception as group:  # noqa: BLE001
                # Whatever a broker or its client library does, it is this link's trouble alone.
                self._lost(_first(group))
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # A goodbye that failed hides that we were told to end.
                raise asyncio.CancelledError
            await asyncio.sleep(random.uniform(RETRY_LEAST_S, RETRY_MOST_S))

    async def _session(self) -> None:
        client = mqtt_client(self._broker, self._agent)
        try:
            async with client:
                for filter_text in read_by(self._cluster, self._agent):
                    await subscribe(client, filter_text)
                self._won()
                await _until_one_ends(self._speak(client), self._hear(client))
        finally:
            self.connected = False
            self._gauge.set(0)
            self._outgoing.clear()

    async def _hear(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            self._gate.take(str(message.topic), message.payload, bool(message.retain))

    async def _speak(self, client: aiomqtt.Client) -> None:
        while True:
            while self._outgoing:
                where, payload = self._outgoing.popleft()
                await client.publish(where, payload, qos=0)
            self._filled.clear()
            await self._filled.wait()

    def _won(self) -> None:
        self.connected = True
        self._gauge.set(1)
        self._said = ""
        log.info("connected to the broker", broker=self.name)

    def _lost(self, problem: str) -> None:
        if problem != self._said:
            self._said = problem
            log.warning("no connection to the broker", broker=self.name, problem=problem)


class Link:
    """All brokers at once."""

    def __init__(
        self,
        brokers: Sequence[Broker],
        cluster: str,
        agent: str,
        gate: Gate,
        metrics: Metrics,
    ) -> None:
        self._report_topic = topic(cluster, agent, Report)
        self._renew_topic = topic(cluster, agent, Renew)
        self.links = tuple(BrokerLink(b, cluster, agent, gate, metrics) for b in brokers)

    @property
    def connected(self) -> bool:
        """Whether any broker is connected."""
        return any(link.connected for link in self.links)

    def publish(self, message: Report | Renew) -> None:
        """Send over every broker that is connected. Never waits."""
        where = self._report_topic if isinstance(message, Report) else self._renew_topic
        payload = msgspec.json.encode(message)
        for link in self.links:
            link.publish(where, payload)

    async def run(self) -> None:
        """Stay connected to all brokers, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for link in self.links:
                group.create_task(link.run(), name=f"broker {link.name}")


async def _until_one_ends(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run them until one ends or fails, then end the others.

    Not a TaskGroup: before Python 3.13 one whose child fails while it waits leaves its own task
    marked as being cancelled, and the reconnecting would take that for the order to end.
    """
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def mqtt_client(broker: Broker, agent: str) -> aiomqtt.Client:
    """A client for one session. Reads the password. Raises OSError, ValueError, ssl.SSLError."""
    host, port = split_address(broker.address)
    return aiomqtt.Client(
        host.strip("[]"),
        port,
        username=broker.username,
        password=broker.password_file.read_text().strip() if broker.password_file else None,
        identifier=agent,
        clean_session=True,
        keepalive=KEEPALIVE_S,
        timeout=TIMEOUT_S,
        max_queued_incoming_messages=INCOMING_AT_MOST,
        max_queued_outgoing_messages=OUTGOING_AT_MOST,
        tls_context=broker_tls(broker),
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
    )


async def subscribe(client: aiomqtt.Client, filter_text: str) -> None:
    """Raises Denied, aiomqtt.MqttError."""
    codes = await client.subscribe(filter_text, qos=0)
    if any((code if isinstance(code, int) else code.value) >= 0x80 for code in codes):
        raise Denied(
            f"may not read {filter_text}: give this agent's account that right at the broker"
        )


def broker_tls(broker: Broker) -> ssl.SSLContext | None:
    """TLS 1.3 with the broker's certificate checked; None for mqtt://. Raises OSError."""
    if not broker.is_tls:
        return None
    context = ssl.create_default_context(cafile=broker.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if broker.certificate is not None:
        context.load_cert_chain(broker.certificate, broker.key)
    return context


def _first(group: BaseExceptionGroup[Exception]) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    known = isinstance(error, aiomqtt.MqttError | OSError | Denied)
    return str(error) if known and str(error) else repr(error)
