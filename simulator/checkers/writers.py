"""I1: at most one writable copy of a service at every instant, reachable or not."""

from __future__ import annotations

from simulator.watch import Broken, Excused, Watch


class OneWriter(Watch):
    """Counts the writable copies of each service."""

    def __init__(self, excused: Excused) -> None:
        self._excused = excused
        self._writers: dict[str, list[str]] = {}

    def writes(self, now_ms: int, service: str, agent: str, epoch: int, lost_bytes: int) -> None:
        writers = self._writers.setdefault(service, [])
        writers.append(agent)
        if len(writers) > 1:
            # Whoever is excused leaves the list while it is gone through.
            for other in list(writers):
                self._excused(service, other)
        if len(writers) > 1:
            raise Broken("I1", f"{service} is writable at {' and '.join(writers)} at once", service)

    def writes_no_more(self, now_ms: int, service: str, agent: str) -> None:
        self._writers[service].remove(agent)
