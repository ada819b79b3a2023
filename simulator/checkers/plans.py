"""I8 of plans: one at a time, in order, nothing twice, and each ends or waits and says for what.

And a site that was left is not gone back to within the dwell time, but by who says that he means
it.
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.core.model import Record, Transition
from controller.core.plan_model import OVER, SETTLED, Plan, PlanKind, PlanStatus, StepStatus
from simulator.faults.plans import NOW
from simulator.watch import Broken, Watch

PLAN_PATIENCE_MS = 400_000
"""So long after the last fault a plan may still go on: its tries pause for a minute at most."""
AWAY = (PlanKind.EVACUATE, PlanKind.FAILOVER)
NOT_LEFT_MS = 50
"""Clocks of the controller's host differ from true time by 1 % at most."""


class PlansKept(Watch):
    """Looks at every plan as it is stored, and at every operation that a plan asked for."""

    def __init__(self, dwell_ms: int) -> None:
        self._dwell_ms = dwell_ms
        self._plans: dict[str, Plan] = {}
        self._left_ms: dict[str, int] = {}
        """By site: when the last plan that moved it away was over."""

    def planned(self, now_ms: int, old: Plan | None, new: Plan) -> None:
        self._plans[new.id] = new
        self._one_at_a_time(new)
        self._says_why(new)
        if old is None:
            self._not_too_soon(now_ms, new)
        else:
            _goes_forward(old, new)
            _tears_nothing_apart(old, new)
        if new.status in OVER and new.kind in AWAY:
            self._left_ms[new.site] = now_ms

    def restored(self, now_ms: int, records: dict[str, Record]) -> None:
        """What an older copy of the store does not know may happen once more."""
        self._plans.clear()
        self._left_ms.clear()

    def told(self, now_ms: int, change: Transition, old: Record, new: Record) -> None:
        operation = change.operation
        if operation is None or (old.operation and old.operation.id == operation.id):
            return
        plan = self._plans.get(operation.plan)
        if plan is not None:
            _in_its_turn(plan, change.service_uid, operation.to_agent)

    def _one_at_a_time(self, new: Plan) -> None:
        others = [plan for plan in self._plans.values() if plan.status not in OVER]
        if len(others) > 1:
            names = ", ".join(plan.id for plan in others)
            raise Broken("plans", f"more than one plan is under way: {names}")

    def _says_why(self, new: Plan) -> None:
        if new.status is not PlanStatus.RUNNING and not new.because:
            raise Broken("plans", f"{new.id} is {new.status.value} and says not why")
        for step in new.steps:
            if step.status is StepStatus.LEFT_OUT and not step.because:
                raise Broken("plans", f"{new.id} leaves {step.service} out and says not why")

    def _not_too_soon(self, now_ms: int, new: Plan) -> None:
        left_ms = self._left_ms.get(new.site)
        if left_ms is None or not (new.by_policy or new.kind is PlanKind.FAILBACK):
            return
        since_ms = now_ms - left_ms
        is_early = since_ms * 102 // 100 + NOT_LEFT_MS < self._dwell_ms
        if is_early and new.reason != NOW:
            raise Broken("dwell", f"{new.id} begins {since_ms} ms after {new.site} was left")


def goes_on(plans: Iterable[Plan]) -> bool:
    """Whether a plan is neither over nor waits for a person."""
    return any(plan.status not in (*OVER, PlanStatus.WAITING) for plan in plans)


def must_have_come_to_something(plans: Iterable[Plan]) -> None:
    """Raise Broken where a plan goes on for ever."""
    for plan in plans:
        if plan.status not in (*OVER, PlanStatus.WAITING):
            told = ", ".join(f"{step.service} {step.status.value}" for step in plan.steps)
            raise Broken(
                "plans",
                f"{PLAN_PATIENCE_MS // 1000} s after the last fault {plan.id} is "
                f"{plan.status.value}: {told}",
            )


def _goes_forward(old: Plan, new: Plan) -> None:
    if old.status in OVER:
        raise Broken("plans", f"{new.id} was {old.status.value} and is {new.status.value}")
    if new.revision != old.revision + 1:
        raise Broken("plans", f"{new.id}: revision {new.revision} after {old.revision}")
    for before, after in zip(old.steps, new.steps, strict=True):
        if before.status in SETTLED and after.status is not before.status:
            raise Broken(
                "plans",
                f"{new.id}: {after.service} was {before.status.value}, is {after.status.value}",
            )


def _tears_nothing_apart(old: Plan, new: Plan) -> None:
    """A way back that nobody asked for leaves no group half of the way for the sake of its site:
    what has begun goes on, or waits."""
    if not new.by_policy or new.kind is not PlanKind.FAILBACK:
        return
    begun = {s.lane for s in old.steps if s.status in (StepStatus.MOVING, StepStatus.DONE)}
    of_the_site = ("caution is on at", f"{new.site} is ")
    for before, after in zip(old.steps, new.steps, strict=True):
        is_new = before.status is not after.status and after.status is StepStatus.LEFT_OUT
        if is_new and after.lane in begun and after.because.startswith(of_the_site):
            raise Broken(
                "plans",
                f"{new.id} tears {after.group} apart: {after.service} is left out, {after.because}",
            )


def _in_its_turn(plan: Plan, uid: str, to_agent: str) -> None:
    """What a plan begins is stored as begun, and those before it in its lane are settled; in one
    that nobody asked for, and on the way away of a drill, they are moved."""
    step = next(s for s in plan.steps if (s.service_uid, s.to_agent) == (uid, to_agent))
    if step.status is not StepStatus.MOVING:
        raise Broken("plans", f"{plan.id} moves {step.service}, which is {step.status.value}")
    if plan.kind is PlanKind.FAILOVER:
        return
    stays = plan.by_policy or (plan.kind is PlanKind.DRILL and step.leg == 1)
    for one in plan.steps[: plan.steps.index(step)]:
        is_left = stays and one.status is StepStatus.LEFT_OUT
        is_first = (one.leg, one.lane) == (step.leg, step.lane)
        if is_first and (is_left or one.status not in SETTLED):
            raise Broken(
                "plans",
                f"{plan.id} moves {step.service} while {one.service}, which comes before it, is "
                f"{one.status.value}",
            )
