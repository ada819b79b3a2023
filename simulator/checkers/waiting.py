"""I8: where nothing is wrong no operation stands still, and what waits says what releases it."""

from __future__ import annotations

from controller.core.explain import explain
from controller.core.model import Phase, State
from simulator.strike import Strike
from simulator.watch import Broken, Watch

MOVING = (Phase.DRAINING, Phase.COUNTDOWN, Phase.PROMOTING, Phase.ROUTING, Phase.ARMING)
MOST_MS = 75_000
"""So long no phase of an operation lasts where nothing has been wrong for as long."""


class NobodyWaitsSilently(Watch):
    """Is shown the controller's state now and then, in true time."""

    def __init__(self) -> None:
        self._trouble_until_ms = 0
        self._since: dict[str, tuple[int, int]] = {}
        """By service, its revision and when it was first seen."""

    def struck(self, now_ms: int, strike: Strike) -> None:
        self._trouble_until_ms = max(self._trouble_until_ms, strike.until_ms)

    def healed(self, now_ms: int) -> None:
        self._trouble_until_ms = now_ms

    def look(self, now_ms: int, state: State, local_ms: int) -> None:
        """Raise Broken when something waits for nothing, or does not say for what."""
        for service in state.services.values():
            record = service.record
            revision, since_ms = self._since.get(record.service, (0, 0))
            if revision != record.revision:
                self._since[record.service] = (record.revision, now_ms)
                continue
            if record.phase is Phase.HELD or record.operation is not None:
                told = explain(service, local_ms)
                if not (told.because and told.advice and told.ways):
                    raise Broken("I8", f"{record.service} waits in {record.phase.value} silently")
            quiet_ms = now_ms - max(since_ms, self._trouble_until_ms)
            if record.phase in MOVING and quiet_ms > MOST_MS:
                raise Broken(
                    "I8",
                    f"{record.service} is in {record.phase.value} since {since_ms / 1000:.1f} s, "
                    f"though nothing was wrong for {quiet_ms / 1000:.0f} s: {record.because}",
                )
