"""Which lanes of a plan wait before they are gone back with, though nobody ended the plan.

What goes home goes no more where care is taken; a lane that has begun goes on to a home that is
not well, for a group that is torn apart serves worse than one that stays together.
"""

from __future__ import annotations

from controller.core.model import State
from controller.core.plan_model import Plan, PlanKind, StepStatus
from controller.core.sites.policy import caution_on, not_well

BEGUN = (StepStatus.MOVING, StepStatus.DONE)


def held_lanes(state: State, plan: Plan, leg: int) -> dict[tuple[str, str], str]:
    """By lane: why none of its steps is asked for now."""
    if not _goes_home(plan, leg):
        return {}
    care = "" if plan.despite_caution else caution_on(state.nation, plan.site)
    ill = not_well(state.nation, plan.site)
    begun = begun_lanes(plan, leg)
    whys = {s.lane: care or ("" if s.lane in begun else ill) for s in plan.steps if s.leg == leg}
    return {lane: why for lane, why in whys.items() if why}


def begun_lanes(plan: Plan, leg: int) -> frozenset[tuple[str, str]]:
    """Those of which a step of this leg is on its way, or done."""
    return frozenset(s.lane for s in plan.steps if s.leg == leg and s.status in BEGUN)


def _goes_home(plan: Plan, leg: int) -> bool:
    """Whether it goes back without anybody's having looked at home at this moment."""
    if plan.kind is PlanKind.DRILL:
        return leg > 1
    return plan.kind is PlanKind.FAILBACK and plan.by_policy
