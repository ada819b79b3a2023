"""What an agent tells beside its replicas: its ways to other sites."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from agents.prober import Prober
from agents.surroundings_metrics import SurroundingsMetrics
from protocol.messages import Order, Report


class Surroundings:
    """Its tasks belong to the group of its parts."""

    def __init__(self, prober: Prober, clock: Callable[[], int]) -> None:
        self._prober = prober
        self.metrics = SurroundingsMetrics(lambda: prober.paths(clock()))

    def take(self, order: Order) -> None:
        """Whom to probe, if the Order says so."""
        self._prober.take(order)

    def complete(self, report: Report, at_ms: int) -> Report:
        """The Report with what is known at this moment."""
        return replace(report, probe_list=self._prober.list_name, paths=self._prober.paths(at_ms))
