"""What Prometheus may know of an agent beside its replicas: ways, symptoms, real use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from protocol.messages import Path, Symptom, Usage


class View(Struct, frozen=True):
    """What is known at one moment."""

    paths: tuple[Path, ...]
    symptoms: tuple[Symptom, ...]
    usage: Usage | None


class SurroundingsMetrics(Collector):
    """Read at the moment of the scrape, so that nothing is stale and nothing stays that ended."""

    def __init__(self, view: Callable[[], View]) -> None:
        self._view = view

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing to say before the first scrape."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One family a measure."""
        view = self._view()
        for name, text, value in _PATH_GAUGES:
            family = GaugeMetricFamily(name, text, labels=("to",))
            for path in view.paths:
                if path.asked:
                    family.add_metric((path.to,), value(path))
            yield family
        age = GaugeMetricFamily(
            "saling_symptom_age_seconds", "For how long something is not well", labels=("kind",)
        )
        for symptom in view.symptoms:
            age.add_metric((symptom.kind,), symptom.age_ms / 1000)
        yield age
        for name, text, used in _USAGE_GAUGES:
            if view.usage is not None:
                yield GaugeMetricFamily(name, text, used(view.usage))


_PATH_GAUGES: tuple[tuple[str, str, Callable[[Path], float]], ...] = (
    (
        "saling_path_round_trip_seconds",
        "Median round trip of the last probes of an agent of another site; 0 if none was answered",
        lambda path: path.round_trip_us / 1e6,
    ),
    (
        "saling_path_loss_ratio",
        "Share of the last probes that got no answer in time",
        lambda path: path.lost / path.asked,
    ),
    (
        "saling_path_answer_age_seconds",
        "How long ago the last answer came",
        lambda path: path.answer_age_ms / 1000,
    ),
    (
        "saling_path_clock_ahead_seconds",
        "What the wall clock there is ahead of the one here",
        lambda path: path.clock_ahead_ms / 1000,
    ),
)

_USAGE_GAUGES: tuple[tuple[str, str, Callable[[Usage], float]], ...] = (
    ("saling_host_used_cores", "Processor cores that are busy", lambda u: u.millicores / 1000),
    ("saling_host_used_memory_bytes", "Memory in use", lambda u: float(u.memory_bytes)),
    (
        "saling_host_used_storage_bytes",
        "What is used on the file systems of the engines' data",
        lambda u: float(u.storage_bytes),
    ),
    (
        "saling_host_used_connections",
        "Clients that are connected to the engines",
        lambda u: float(u.connections),
    ),
)
