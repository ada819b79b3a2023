"""The link to the agents: MQTT over one or several independent brokers at once.

Every message goes out over all brokers that are connected, and the first copy that comes
in counts. A broker that is down or frozen holds nobody up: each has its own session in its own
task (`protocol/session.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from controller.core.events import RenewCame, ReportCame
from controller.status import BrokerStatus
from protocol.intake import Intake, Reason, Rejected
from protocol.messages import Message, Renew, Report
from protocol.session import BrokerLogin, BrokerSession
from protocol.topics import parse, read_by_controller, topic

INCOMING_AT_MOST = 10_000
OUTGOING_AT_MOST = 2048
SAY_AGAIN_S = 10.0

log = structlog.get_logger("link")

OnEvent = Callable[[ReportCame | RenewCame], None]


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

    def declare(self, agents: frozenset[str]) -> None:
        """Whom to hear from now on."""
        self._agents = agents

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


class BrokerLink(BrokerSession):
    """The controller's session with one broker."""

    def __init__(self, login: BrokerLogin, cluster: str, gate: Gate) -> None:
        super().__init__(
            login.name,
            f"saling-controller-{cluster}",
            lambda: login,
            read_by_controller(cluster),
            gate.take,
            incoming_at_most=INCOMING_AT_MOST,
            outgoing_at_most=OUTGOING_AT_MOST,
        )

    @property
    def status(self) -> BrokerStatus:
        """As it is now."""
        return BrokerStatus(self.name, self.connected, self.problem, self.dropped)


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

    def declare(self, agents: frozenset[str]) -> None:
        """Which agents there are from now on; what others say is put aside."""
        self._gate.declare(agents)

    def publish(self, agent: str, kind: type[Message], payload: bytes) -> None:
        """Send to an agent over every broker that is connected. Never waits."""
        where = topic(self._cluster, agent, kind)
        for link in self._links:
            link.publish(where, payload)

    async def run(self) -> None:
        """Stay connected to all brokers, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for link in self._links:
                group.create_task(link.run(), name=f"broker {link.name}")
