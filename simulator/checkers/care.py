"""A caution is heeded: nobody is moved to such a site by plan but by who says so, and by itself
nothing goes back to it."""

from __future__ import annotations

from collections.abc import Callable

from controller.core.events import Event
from controller.core.model import BY_ITSELF, Phase, Record, State, Transition
from controller.core.plan_model import Plan, PlanKind
from controller.core.site_model import Caution
from simulator.watch import Broken, Watch

CLOCK_PERCENT = 98
"""The controller's clock may run fast."""
DESPITE = "despite caution"


class CautionHeeded(Watch):
    """Counts the time of each caution by the true clock."""

    def __init__(self, true_ms: Callable[[], int]) -> None:
        self._true_ms = true_ms
        self._cautions: tuple[Caution, ...] = ()

    def controller_stepped(self, state: State, event: Event, at_ms: int) -> None:
        self._cautions = state.nation.cautions

    def told(self, now_ms: int, change: Transition, old: Record, new: Record) -> None:
        operation = change.operation
        begins = (old.phase, new.phase) == (Phase.PROTECTED, Phase.DRAINING)
        if operation is None or not begins or DESPITE in operation.reason:
            return
        # A disk that fills is left without anybody's asking, whatever may come to the other site.
        is_asked = bool(operation.plan) or operation.by != BY_ITSELF
        if is_asked and self._is_on(operation.to_agent):
            raise Broken(
                "caution",
                f"{new.service} is moved to {operation.to_agent} by {operation.by}, who says not "
                f"that it shall be despite the caution there: {operation.reason}",
                new.service,
            )

    def planned(self, now_ms: int, old: Plan | None, new: Plan) -> None:
        if not new.by_policy or new.kind is not PlanKind.FAILBACK or not self._is_on(new.site):
            return
        tries = {step.key: step.tries for step in old.steps} if old else {}
        asked = [s.service for s in new.steps if s.tries > tries.get(s.key, 0)]
        if old is None or asked:
            what = f"asks for {', '.join(asked)}" if asked else "is begun"
            raise Broken("caution", f"{new.id} {what} while caution is on at {new.site}")

    def _is_on(self, site: str) -> bool:
        now_ms = self._true_ms()
        return any(
            c.site == site
            and not c.ended
            and now_ms - c.begun_at_ms < c.for_ms * CLOCK_PERCENT // 100
            for c in self._cautions
        )
