"""What Prometheus may know of one agent: what is per service, in base units.

Counters and the histogram are counted where things happen; what is a state (role, lease left,
position) is read from the replicas at the moment of the scrape, so that it is never stale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from agents.core.model import Replica
from agents.core.permission import lease_end_ms, may_write
from agents.timings import Timings
from protocol.messages import Role

PROBE_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
GAP_BUCKETS_S = (0.2, 0.3, 0.4, 0.42, 0.45, 0.5, 0.6, 0.75, 1.0, 1.02, 1.05, 1.1, 1.25, 1.5, 1.75,
                 2.0, 2.5, 3.0, 4.0, 4.1, 4.5, 5.0, 7.5, 10.0, 15.0)  # fmt: skip
"""Finer just above the intervals of the profiles: 0.4, 1 and 4 s."""
FENCE_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 10.0)

GAP_P999 = "saling_agent_renewal_gap_p999_seconds"
KILL_P999 = "saling_agent_kill_p999_seconds"

Replicas = Callable[[], Iterable[Replica]]
Clock = Callable[[], int]


class Metrics:
    """All metrics of one agent, in a registry of its own."""

    def __init__(self, agent: str, site: str) -> None:
        self.registry = CollectorRegistry()
        self._gauge("saling_agent_info", "This agent", "agent", "site").labels(agent, site).set(1)
        self._make_histograms()
        self._make_counters()
        self._make_gauges()
        self._timings: dict[str, Timings] = {}
        self.registry.register(_Timeliness(self._timings))

    def _make_histograms(self) -> None:
        self.probe_seconds = self._histogram(
            "saling_probe_seconds",
            "How long the commit of a probe row took",
            PROBE_BUCKETS_S,
            "service",
            "outcome",
        )
        self.fence_seconds = self._histogram(
            "saling_fence_seconds",
            "How long it took to end an engine that might write",
            FENCE_BUCKETS_S,
            "service",
        )
        self.renewal_gap_seconds = self._histogram(
            "saling_agent_renewal_gap_seconds",
            "Time between two extensions of the lease of a leased primary",
            GAP_BUCKETS_S,
            "service",
        )

    def _make_counters(self) -> None:
        count = self._counter
        self.fences = count("saling_fences", "Engines that were fenced", "service", "reason")
        self.restarts = count(
            "saling_restarts_in_place",
            "Engines that were made primary again where they died",
            "service",
        )
        self.jobs = count("saling_jobs", "What was done to engines", "service", "kind", "outcome")
        self.rejected = count("saling_messages_rejected", "Messages put aside", "reason")
        self.renewals = count(
            "saling_renewals",
            "Questions for a lease and how they ended",
            "service",
            "grantor",
            "outcome",
        )
        self.broker_dropped = count(
            "saling_broker_messages_dropped", "Messages that a slow broker lost", "broker"
        )
        self.durable_errors = count(
            "saling_durable_write_errors", "Times that the state could not be written", "service"
        )
        self.dropped_events = count(
            "saling_replica_events_dropped",
            "Events dropped because the queue was full",
            "service",
            "kind",
        )

    def _make_gauges(self) -> None:
        gauge = self._gauge
        self.broker_connected = gauge(
            "saling_broker_connected", "Whether the broker is connected", "broker"
        )
        self.state_directory_ok = gauge(
            "saling_state_directory_ok", "0 while a file of the state directory cannot be written"
        )
        self.state_directory_ok.set(1)
        self.disk_free_bytes = gauge(
            "saling_disk_free_bytes", "What is free on the disk of an engine's data", "service"
        )
        self.disk_size_bytes = gauge("saling_disk_size_bytes", "The size of that disk", "service")
        self.disk_low = gauge(
            "saling_disk_low", "1 while that disk is too full to serve for long", "service"
        )
        self.quarantine_transactions = gauge(
            "saling_quarantine_transactions",
            "Committed transactions that were lost to the service and stand in quarantine",
            "service",
        )
        self.quarantine_bytes = gauge(
            "saling_quarantine_bytes", "Log that stands in quarantine", "service"
        )
        self.fence_layer = gauge(
            "saling_agent_fence_layer",
            "1 while this layer of the fence holds, 0 while it is missing",
            "service",
            "layer",
            "required",
        )
        self.old_copies = gauge(
            "saling_old_copies", "Earlier copies that stand beside the data directory", "service"
        )

    def _histogram(
        self, name: str, text: str, buckets_s: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets_s, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def timings(self, service: str) -> Timings:
        """What is known of a replica's renewals and kills; the same one every time."""
        return self._timings.setdefault(service, Timings())

    def renewed(self, service: str, at_ms: int) -> None:
        """The lease was extended, at this moment of the boot-time clock."""
        gap_ms = self.timings(service).extended(at_ms)
        if gap_ms is not None:
            self.renewal_gap_seconds.labels(service).observe(gap_ms / 1000)

    def show(self, replicas: Replicas, clock: Clock) -> None:
        """Let every scrape read these replicas."""
        self.registry.register(_States(replicas, clock))

    def text(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self.registry)


class _Timeliness(Collector):
    """Only what enough values were seen of."""

    def __init__(self, timings: dict[str, Timings]) -> None:
        self._timings = timings

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing to say before the first scrape."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        gap = GaugeMetricFamily(
            GAP_P999, "p99.9 of the time between two extensions of a lease", labels=("service",)
        )
        kill = GaugeMetricFamily(
            KILL_P999, "p99.9 of the time that ending an engine took", labels=("service",)
        )
        for service, timings in self._timings.items():
            if timings.renewal_gap_p999_ms:
                gap.add_metric((service,), timings.renewal_gap_p999_ms / 1000)
            if timings.kill_p999_ms:
                kill.add_metric((service,), timings.kill_p999_ms / 1000)
        yield gap
        yield kill


class _States(Collector):
    def __init__(self, replicas: Replicas, clock: Clock) -> None:
        self._replicas = replicas
        self._clock = clock

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing to say before the first scrape."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        now_ms = self._clock()
        replicas = list(self._replicas())
        role = GaugeMetricFamily(
            "saling_replica_role", "1 for the role that it has", labels=("service", "role")
        )
        for replica in replicas:
            for name in Role:
                is_it = replica.observation.role is name
                role.add_metric((replica.service, name.value), float(is_it))
        yield role
        for metric, text, value in _GAUGES:
            family = GaugeMetricFamily(metric, text, labels=("service",))
            for replica in replicas:
                family.add_metric((replica.service,), value(replica, now_ms))
            yield family


def _epoch(replica: Replica, _now_ms: int) -> float:
    return float(replica.durable.assignment.epoch if replica.durable.assignment else 0)


def _revision(replica: Replica, _now_ms: int) -> float:
    return float(replica.durable.assignment.revision if replica.durable.assignment else 0)


def _writable(replica: Replica, now_ms: int) -> float:
    return float(replica.observation.role is Role.PRIMARY and may_write(replica, now_ms))


def _lease_left_s(replica: Replica, now_ms: int) -> float:
    return max(0, lease_end_ms(replica) - now_ms) / 1000


def _promise_left_s(replica: Replica, now_ms: int) -> float:
    return max(0, replica.promise_end_ms - now_ms) / 1000


def _lag_bytes(replica: Replica, _now_ms: int) -> float:
    """Against what the primary last proved to this backup; 0 on a primary."""
    seen = replica.observation
    if seen.role is not Role.STANDBY:
        return 0.0
    return float(max(0, replica.heard_position_bytes - seen.position_bytes))


_GAUGES: tuple[tuple[str, str, Callable[[Replica, int], float]], ...] = (
    ("saling_replica_epoch", "Number of the service's present reign", _epoch),
    ("saling_replica_revision", "Revision of the assignment in force", _revision),
    ("saling_replica_writable", "1 while it is primary and may write", _writable),
    ("saling_lease_left_seconds", "How long its lease lasts", _lease_left_s),
    ("saling_promise_left_seconds", "How long what it granted lasts", _promise_left_s),
    (
        "saling_replica_position_bytes",
        "End of its log",
        lambda replica, _: float(replica.observation.position_bytes),
    ),
    ("saling_replica_lag_bytes", "Log proved by the primary and not received here", _lag_bytes),
    (
        "saling_replica_lag_seconds",
        "Age of what was last replayed",
        lambda replica, _: replica.observation.lag_ms / 1000,
    ),
    (
        "saling_replica_streaming",
        "1 while it receives from its upstream",
        lambda replica, _: float(replica.observation.streaming),
    ),
    (
        "saling_host_hold_left_seconds",
        "How long an operator of this host still forbids any change of its role",
        lambda replica, now_ms: max(0, replica.veto_end_ms - now_ms) / 1000,
    ),
    (
        "saling_durable_ok",
        "0 while the state directory cannot be written",
        lambda replica, _: float(replica.disk_ok),
    ),
)
