"""The link to the controller: MQTT over one or several independent brokers at once.

Every message goes out over all brokers that are connected, and the first copy that comes in
counts. A broker that is down, frozen or lying holds nobody up: each has its own session in its
own task (`protocol/session.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

import aiomqtt
import msgspec

from agents.metrics import Metrics
from agents.network.refusals import Refusals
from config.brokers import Broker
from config.values import split_address
from protocol import session
from protocol.intake import Intake, Reason, Rejected
from protocol.messages import CONTROLLER, Grant, Order, Renew, Report
from protocol.sealing import Verifier
from protocol.session import BrokerLogin, BrokerSession, tls_context
from protocol.topics import parse, read_by, topic

INCOMING_AT_MOST = 1024
OUTGOING_AT_MOST = 64

M = TypeVar("M", Order, Grant)

Heard = Callable[[Order | Grant], None]


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


class BrokerLink(BrokerSession):
    """The agent's session with one broker."""

    def __init__(
        self, broker: Broker, cluster: str, agent: str, gate: Gate, metrics: Metrics
    ) -> None:
        super().__init__(
            broker.address,
            agent,
            lambda: read_login(broker),
            read_by(cluster, agent),
            gate.take,
            incoming_at_most=INCOMING_AT_MOST,
            outgoing_at_most=OUTGOING_AT_MOST,
            on_connected=metrics.broker_connected.labels(broker.address).set,
            on_dropped=metrics.broker_dropped.labels(broker.address).inc,
        )


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


def read_login(broker: Broker) -> BrokerLogin:
    """Reads the password and certificates anew, for they may have been renewed since.

    Raises OSError, ValueError, ssl.SSLError.
    """
    host, port = split_address(broker.address)
    return BrokerLogin(
        name=broker.address,
        host=host,
        port=port,
        username=broker.username,
        password=broker.password_file.read_text().strip() if broker.password_file else None,
        tls=tls_context(broker.ca_file, broker.certificate, broker.key) if broker.is_tls else None,
    )


def mqtt_client(broker: Broker, agent: str) -> aiomqtt.Client:
    """A client for one session. Raises as `read_login` does."""
    return session.mqtt_client(read_login(broker), agent, INCOMING_AT_MOST)
