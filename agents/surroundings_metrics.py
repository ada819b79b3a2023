"""What Prometheus may know of an agent's ways to other sites."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from protocol.messages import Path


class SurroundingsMetrics(Collector):
    """Read at the moment of the scrape, so that nothing is stale and nothing stays that ended."""

    def __init__(self, paths: Callable[[], tuple[Path, ...]]) -> None:
        self._paths = paths

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing to say before the first scrape."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One family a measure."""
        paths = self._paths()
        for name, text, value in _PATH_GAUGES:
            family = GaugeMetricFamily(name, text, labels=("to",))
            for path in paths:
                if path.asked:
                    family.add_metric((path.to,), value(path))
            yield family


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
