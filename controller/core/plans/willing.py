"""Whether what a plan by policy was made for still stands: looked at before each new request.

A person who asked for a plan answers for it. Nobody answers for one that the controller made by
itself, so it goes no further than what it would be made for now.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from controller.core.model import State
from controller.core.plan_model import SETTLED, Plan, PlanKind, PlanStep, StepStatus
from controller.core.plans.held import BEGUN
from controller.core.site_model import Consequence, Health, Stage
from controller.core.sites.health import BETTER_AFTER_MS
from controller.core.sites.policy import Wish, commits, failback_held, wished

MOVES = {Consequence.EVACUATE: PlanKind.EVACUATE, Consequence.FAILOVER: PlanKind.FAILOVER}


def wishes_for(state: State, plan: Plan, now_ms: int) -> tuple[Wish, ...]:
    """What would lead to a plan of this kind for this site now."""
    kinds = (PlanKind.FAILOVER,) if plan.kind is PlanKind.FAILOVER else tuple(MOVES.values())
    return tuple(
        wish
        for wish in wished(state.nation, state.services.values(), now_ms)
        if wish.site == plan.site and MOVES.get(wish.consequence) in kinds
    )


def unsure(state: State, plan: Plan, wishes: Sequence[Wish], now_ms: int) -> str:
    """Why nothing is asked for at this moment; empty when nothing is against it, or nothing is
    left to ask for."""
    if all(step.status is not StepStatus.TO_DO for step in plan.steps):
        return ""
    there = state.nation.sites.get(plan.site)
    if state.nation.blind:
        return (
            "the controller hears too few agents to judge others, and asks for nothing until it "
            "does; `saling plan end` gives the rest up"
        )
    if there is None or there.spec.stage is not Stage.ACTIVE:
        return ""
    if there.health is Health.UNKNOWN:
        return f"nothing can be said of {plan.site} now, so nothing is asked for until that ends"
    # Also a life that has just begun sees the reasons of a site a moment after its agents.
    if plan.kind in MOVES.values() and not wishes and now_ms - there.since_ms < BETTER_AFTER_MS:
        return f"{plan.site} looks better; nothing is asked for until that lasts or ends"
    return ""


def without_dropped(
    state: State, plan: Plan, wishes: Sequence[Wish], now_ms: int
) -> tuple[PlanStep, ...]:
    """The steps; those that are not begun and are wished no more are left out."""
    away = plan.kind is not PlanKind.FAILBACK
    wanted = frozenset(wish.service_uid for wish in wishes if away)
    # A group that is torn apart serves worse than one that stays: what has begun goes on.
    stays = frozenset(
        one.lane for one in plan.steps if one.status in BEGUN or one.service_uid in wanted
    )
    told = []
    for step in plan.steps:
        is_open = step.status not in (*SETTLED, *BEGUN)
        why = _dropped(state, plan, step, stays, now_ms) if is_open else ""
        told.append(replace(step, status=StepStatus.LEFT_OUT, because=why) if why else step)
    return tuple(told)


def _dropped(
    state: State, plan: Plan, step: PlanStep, stays: frozenset[tuple[str, str]], now_ms: int
) -> str:
    """Why a step that is not begun is left out; `stays` are the lanes that go on. Empty when it is
    not."""
    service = state.services.get(step.service_uid)
    if service is None:
        return ""
    if service.record.paused:
        return f"its automatic failover is paused ({service.record.paused})"
    if plan.kind is PlanKind.FAILOVER and commits(service, now_ms):
        return "it commits again, so it is not failed over"
    if plan.kind is PlanKind.FAILBACK:
        return "" if step.lane in stays else failback_held(state.nation, plan.site)
    return "" if step.lane in stays else f"nothing at {plan.site} asks for it to be moved any more"
