"""I8: where nothing is wrong no operation stands still, and what waits says what releases it."""

from __future__ import annotations

from controller.core.events import Kind
from controller.core.explanation.explain import explain
from controller.core.model import Phase, Record, State
from controller.core.moment.others import Others
from simulator.strike import RELOAD, Strike
from simulator.watch import Broken, Watch

MOVING = (Phase.DRAINING, Phase.COUNTDOWN, Phase.PROMOTING, Phase.ROUTING, Phase.ARMING)
WISHES = frozenset({*(kind.value for kind in Kind), *(f"try-{kind.value}" for kind in Kind)})
"""No trouble: what an operator asks for has no end of its own."""
MOST_MS = 75_000
"""So long no phase of an operation lasts where nothing has been wrong for as long."""


DRAIN_MS = 7_000
"""A stop in order may be this slow, and then some, before its primary gives it up."""


class NobodyWaitsSilently(Watch):
    """Is shown the controller's state now and then, in true time."""

    def __init__(self) -> None:
        self._trouble_until_ms = 0
        self._since: dict[str, tuple[int, int]] = {}
        """By service, its revision and when it was first seen."""

    def struck(self, now_ms: int, strike: Strike) -> None:
        if strike.verb in WISHES or strike.verb.startswith(RELOAD):
            return
        self._trouble_until_ms = max(self._trouble_until_ms, strike.until_ms)

    def healed(self, now_ms: int) -> None:
        self._trouble_until_ms = now_ms

    def look(self, now_ms: int, state: State, local_ms: int) -> None:
        """Raise Broken when something waits for nothing, or does not say for what."""
        others = Others(state.services, state.nation, local_ms)
        for service in state.services.values():
            record = service.record
            revision, since_ms = self._since.get(record.service, (0, 0))
            if revision != record.revision:
                self._since[record.service] = (record.revision, now_ms)
                continue
            if record.phase is Phase.HELD or record.operation is not None:
                told = explain(service, local_ms, others=others)
                if not (told.because and told.advice and told.ways):
                    raise Broken("I8", f"{record.service} waits in {record.phase.value} silently")
            quiet_ms = now_ms - max(since_ms, self._trouble_until_ms)
            if record.phase in MOVING and quiet_ms > _most_ms(record):
                raise Broken(
                    "I8",
                    f"{record.service} is in {record.phase.value} since {since_ms / 1000:.1f} s, "
                    f"though nothing was wrong for {quiet_ms / 1000:.0f} s: {record.because}",
                )


def _most_ms(record: Record) -> int:
    """A drain that goes on no more is given up by its primary, before the controller must."""
    if record.phase is Phase.DRAINING:
        return max(DRAIN_MS, record.terms.drain_budget_ms * 3 // 2)
    return MOST_MS
