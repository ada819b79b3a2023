"""What Prometheus scrapes: gauges made from one look at the controller, and a few counters.

Base units, one prefix, and no label that grows with time: services, sites, agents and
brokers are as many as the configuration declares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from config.topology import Site, SiteState
from controller.copies import vetoes
from controller.core.explanation.explain import Explanation
from controller.core.model import Phase, Transition
from controller.link import Counts
from controller.metrics.capacity import room
from controller.metrics.drills import drills
from controller.metrics.nation import nation_metrics
from controller.metrics.own import configuration, machinery, messages
from controller.metrics.plans import plans
from controller.metrics.services import SERVICE_GAUGES
from controller.status import Status
from controller.stores.base import HistoryLine

OUTCOMES = {"done": "done", "given up": "given_up"}
LABELS = ("service", "reason", "outcome")
AUTOMATIC, OPERATOR = "automatic", "operator"


class Metrics:
    """One registry of its own, so that several may live in one process."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._moves = {
            "failover": self._counter("saling_failovers", "Failovers that ended."),
            "switchover": self._counter("saling_switchovers", "Switchovers that ended."),
        }
        self._outage = self._gauge(
            "saling_last_outage_seconds",
            "Between the last proved commit of the old primary and the first of the new one.",
        )
        self._loss = self._gauge("saling_last_loss_bytes", "Estimated loss of the last takeover.")
        build = Gauge(
            "saling_build_info", "The running version.", ["version"], registry=self.registry
        )
        build.labels(version).set(1)

    def watch(self, status: Callable[[], Status], counts: Callable[[], Counts]) -> None:
        """Show the controller's state from now on."""
        self.registry.register(_StateCollector(status, counts))

    def remember(self, history: Iterable[HistoryLine]) -> None:
        """Take the last outage and loss from before this start; newest first."""
        for line in reversed(list(history)):
            self._note_last(line.transition)

    def note(self, transition: Transition) -> None:
        """Count what ended with a change."""
        self._note_last(transition)
        operation, outcome = transition.operation, OUTCOMES.get(transition.outcome)
        if operation is None or outcome is None or operation.kind not in self._moves:
            return
        reason = AUTOMATIC if operation.by == "the controller" else OPERATOR
        self._moves[operation.kind].labels(transition.service, reason, outcome).inc()

    def render(self) -> bytes:
        """The text that is scraped."""
        return generate_latest(self.registry)

    def _note_last(self, transition: Transition) -> None:
        if transition.outage_ms >= 0:
            self._outage.labels(transition.service).set(transition.outage_ms / 1000)
        if transition.loss_bytes >= 0:
            self._loss.labels(transition.service).set(transition.loss_bytes)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(name, text, LABELS, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, ["service"], registry=self.registry)


class _StateCollector(Collector):
    """Looks at the controller when it is asked."""

    def __init__(self, status: Callable[[], Status], counts: Callable[[], Counts]) -> None:
        self._status = status
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        status, counts = self._status(), self._counts()
        explained = [status.explained(service) for service in status.services]
        yield _phases(explained)
        yield from _services(explained)
        yield from _disks(explained)
        yield from _places(status)
        yield from _absences(status, explained)
        yield from nation_metrics(status)
        yield _vetoes(status, explained)
        yield from plans(status)
        yield from room(status)
        yield from messages(counts)
        yield from machinery(status)
        yield from configuration(status.configuration)
        yield from drills(status.drills)


def _family(
    name: str, text: str, label: str, values: Iterable[tuple[str, float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values:
        family.add_metric([key], value)
    return family


def _phases(explained: list[Explanation]) -> Metric:
    count = {phase.value: 0 for phase in Phase}
    for service in explained:
        count[service.phase] += 1
    return _family("saling_services", "Services by phase.", "phase", count.items())


def _services(explained: list[Explanation]) -> Iterator[Metric]:
    for name, text, value in SERVICE_GAUGES:
        known = [(s.service, value(s)) for s in explained]
        yield _family(name, text, "service", [(k, v) for k, v in known if v is not None])


def _disks(explained: list[Explanation]) -> Iterator[Metric]:
    """As last reported; nothing of a copy whose agent tells nothing of its disk."""
    labels = ["service", "agent"]
    low = GaugeMetricFamily(
        "saling_copy_disk_low", "1 while the disk of a copy's data fills.", labels=labels
    )
    free = GaugeMetricFamily(
        "saling_copy_disk_free_bytes", "What is free on the disk of a copy's data.", labels=labels
    )
    for service in explained:
        for copy in service.copies:
            told = copy.report
            if told is not None and (told.disk_low or told.disk_free_bytes):
                low.add_metric([service.service, copy.agent], float(bool(told.disk_low)))
                free.add_metric([service.service, copy.agent], told.disk_free_bytes)
    yield low
    yield free


def _expected(site: Site) -> bool:
    """Whether its agents are missed where they are not heard."""
    return site.state not in (SiteState.PLANNED, SiteState.RETIRED)


def _places(status: Status) -> Iterator[Metric]:
    topology = status.topology
    yield _family(
        "saling_site_up",
        "1 while an agent of the site is heard.",
        "site",
        [(site.id, float(status.site_up(site.id))) for site in topology.sites if _expected(site)],
    )
    yield _family(
        "saling_agent_up",
        "1 while the agent is heard.",
        "agent",
        [
            (agent.id, float(status.agent_up(agent.id)))
            for agent in topology.agents
            if _expected(topology.site(agent.site))
        ],
    )
    yield _family(
        "saling_pair_protected",
        "1 while every service of the pair could be taken over.",
        "pair",
        [("-".join(pair.sites), float(status.pair_protected(pair))) for pair in topology.pairs],
    )
    yield _family(
        "saling_pair_drilled",
        "1 while no scheduled drill of the pair's sites is overdue or failed.",
        "pair",
        [
            ("-".join(pair.sites), float(drilled))
            for pair in topology.pairs
            if (drilled := status.pair_drilled(pair)) is not None
        ],
    )
    yield _family(
        "saling_broker_connected",
        "1 while the controller is connected to the broker.",
        "broker",
        [(broker.name, float(broker.connected)) for broker in status.brokers],
    )
    dropped = CounterMetricFamily(
        "saling_broker_messages_dropped",
        "Messages that a connected broker was too slow to take.",
        labels=["broker"],
    )
    for broker in status.brokers:
        dropped.add_metric([broker.name], broker.dropped)
    yield dropped


def _absences(status: Status, explained: list[Explanation]) -> Iterator[Metric]:
    """Whose silence alarms nobody, for it was announced for all that they hold."""
    topology = status.topology
    away = {agent.id for agent in topology.agents if _is_away(agent.id, explained)}
    yield _family(
        "saling_agent_maintenance",
        "1 while the agent's absence is announced for all it holds, and not overdue.",
        "agent",
        [(agent.id, float(agent.id in away)) for agent in topology.agents],
    )
    agents = {site.id: {agent.id for agent in status.agents_of(site.id)} for site in topology.sites}
    yield _family(
        "saling_site_maintenance",
        "1 while the absence of all agents of the site is announced and not overdue.",
        "site",
        [(site, float(bool(ids) and ids <= away)) for site, ids in agents.items()],
    )


def _vetoes(status: Status, explained: list[Explanation]) -> Metric:
    """Unlike a maintenance, a veto silences nothing."""
    who = {veto.agent for service in explained for veto in vetoes(service)}
    return _family(
        "saling_agent_veto",
        "1 while an operator of the agent's host forbids any change of its role.",
        "agent",
        [(agent.id, float(agent.id in who)) for agent in status.topology.agents],
    )


def _is_away(agent: str, explained: list[Explanation]) -> bool:
    held = [s.maintenance for s in explained if agent in (s.primary, s.backup)]
    return bool(held) and all(m and m.agent == agent and m.as_announced for m in held)
