"""A plan that nobody asked for does not keep another site from being left for ever."""

from __future__ import annotations

from msgspec.structs import replace

from controller.core.gates.maintenance import span
from controller.core.model import State
from controller.core.plan_model import SETTLED, Plan, PlanStatus, StepStatus
from controller.core.plans.standing import Standing, standing

WAITS_AT_MOST_MS = 30 * 60_000
"""The alert for a plan that waits has rung for most of it, so that a person had the time to mend
the cause and resume; and it is the dwell time where none is configured, within which the same site
is not left again by itself."""


def given_up_in_time(
    state: State, plan: Plan, now_ms: int, not_now: str = ""
) -> tuple[State, Plan]:
    """A plan by policy that has waited for too long with nothing under way is ended. This life of
    the controller counts from what it saw itself; a plan that a person asked for, or paused,
    waits for that person."""
    memory = state.plan_memory
    if not _waits(state, plan, now_ms):
        since_ms = -1
    else:
        since_ms = memory.waits_since_ms if memory.waits_since_ms >= 0 else now_ms
    if since_ms != memory.waits_since_ms:
        state = replace(state, plan_memory=replace(memory, waits_since_ms=since_ms))
    if since_ms < 0 or now_ms - since_ms < WAITS_AT_MOST_MS:
        return state, plan
    return state, _ended(plan, not_now)


def _waits(state: State, plan: Plan, now_ms: int) -> bool:
    """What is on its way may still come to where it shall be."""
    return (
        plan.by_policy
        and plan.status is PlanStatus.WAITING
        and all(
            standing(state, step, now_ms)[0] is not Standing.ON_ITS_WAY
            for step in plan.steps
            if step.status not in SETTLED
        )
    )


def _ended(plan: Plan, not_now: str) -> Plan:
    why = f"the plan waited for {span(WAITS_AT_MOST_MS)} with nothing under way, and ended itself"
    left = [step for step in plan.steps if step.status not in SETTLED]
    told = " | ".join(f"{step.service}: {step.because or 'not asked for'}" for step in left)
    # Behind the first semicolon stands what a person could have done about a plan under way.
    for_what = f"it waited for: {not_now.partition('; ')[0] or told}"
    steps = tuple(
        replace(
            step, status=StepStatus.LEFT_OUT, because="; ".join(filter(None, (step.because, why)))
        )
        if step.status is StepStatus.TO_DO
        else step
        for step in plan.steps
    )
    text = f"{why}, so that another site can be left; {for_what}"
    return replace(plan, status=PlanStatus.ENDED, because=text, steps=steps)
