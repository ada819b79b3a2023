"""Plans: one at a time, stored before they act, in order, and never without an end or a reason."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from controller.core import step
from controller.core.actions import Action, SavePlan
from controller.core.events import PlanAct, PlanAsked
from controller.core.model import State
from controller.core.plan_model import OVER, SETTLED, Plan, PlanStatus, PlanStep
from controller.core.plans import asking, going, judging, policy
from controller.core.plans.standing import Standing, standing
from controller.core.sites.look import Look
from simulator.parts import controller
from simulator.strike import Strike
from tests.simulation.mutants.base import Mutant, Patch
from tests.simulation.night import Night, Pairs, member

PLANS = ("plans",)


def plan_begins_beside_another(patch: Patch) -> None:
    """A second plan is begun while one is under way."""
    asked = asking.on_plan_asked

    def begin(
        state: State, event: PlanAsked, now_ms: int, ask: going.Ask
    ) -> tuple[State, list[Action]]:
        if event.act is PlanAct.BEGIN:
            state = replace(state, plan=None)
        return asked(state, event, now_ms, ask)

    patch.setattr(step, "on_plan_asked", begin)


def group_of_a_plan_moves_at_once(patch: Patch) -> None:
    """The services of a group are not waited for one after the other."""

    def heads(state: State, plan: Plan, now_ms: int) -> list[tuple[PlanStep, Standing]]:
        leg = judging.present_leg(plan)
        steps = [one for one in plan.steps if one.leg == leg and one.status not in SETTLED]
        return [(one, standing(state, one, now_ms)[0]) for one in steps]

    patch.setattr(going, "lane_heads", heads)
    patch.setattr(judging, "lane_heads", heads)


def plan_is_stored_after_what_it_asks(patch: Patch) -> None:
    """What a plan asks for is done before the plan that asks is stored."""

    def late(state: State, now_ms: int, ask: going.Ask) -> tuple[State, list[Action]]:
        state, actions = going.go_on(state, now_ms, ask)
        saves: list[Action] = [one for one in actions if isinstance(one, SavePlan)]
        return state, [*(one for one in actions if one not in saves), *saves]

    patch.setattr(policy, "go_on", late)


def plan_is_forgotten_by_a_new_life(patch: Patch) -> None:
    """A controller that begins to lead does not take up what the last one left."""

    def forget(state: State, _plan: Plan | None, *rest: Any) -> State:
        return going.take_up(state, None, *rest)

    patch.setattr(controller, "take_up", forget)


def plan_waits_silently(patch: Patch) -> None:
    """It does not say what it waits for."""
    summed = judging.summed

    def silent(state: State, plan: Plan, now_ms: int, not_now: str) -> Plan:
        told = summed(state, plan, now_ms, not_now)
        waits = told.status is PlanStatus.WAITING
        return replace(told, because="") if waits else told

    patch.setattr(going, "summed", silent)


def plan_is_never_over(patch: Patch) -> None:
    """All of its steps are settled, and it goes on."""
    summed = judging.summed

    def endless(state: State, plan: Plan, now_ms: int, not_now: str) -> Plan:
        told = summed(state, plan, now_ms, not_now)
        return plan if told.status in OVER else told

    patch.setattr(going, "summed", endless)


def dwell_time_is_not_kept(patch: Patch) -> None:
    """A site that was left a moment ago is gone back to."""
    patch.setattr(asking, "dwell_left_ms", lambda _state, _site, _now_ms: 0)


def blind_controller_judges_others(patch: Patch) -> None:
    """However few it hears, it calls those that it does not hear cut off or down."""
    patch.setattr(Look, "blind", property(lambda _look: ""))


HEARS_ONE = Pairs(
    *(Strike(12_000, "cut", ("hub", site), 20_000) for site in ("alpha", "charlie", "delta")),
    *(Strike(22_000, "hang-engine", ("alpha", name), 8_000) for name in ("s1", "s2")),
)
"""The controller hears bravo alone, which reaches all the others, and which hears alpha's services
commit until their engines hang: what commits is failed over by nobody."""

FAILS_HALF = Pairs(
    Strike(9_000, "isolate", ("alpha",), 12_000),
    Strike(9_500, "plan-failover", ("alpha",)),
    services=(member("s1", 1, loss_bound_bytes=1), member("s2", 2)),
)
"""A plan of which one service is held for its loss."""

BACK_SOON = Night(
    Strike(6_000, "plan-evacuate", ("alpha",)),
    *(Strike(12_000 + 1_000 * n, "plan-failback", ("alpha",)) for n in range(5)),
)
"""A site is left, and wanted back before the dwell time is over."""

MUTANTS = (
    Mutant(plan_begins_beside_another, "plans", PLANS, "plans"),
    Mutant(group_of_a_plan_moves_at_once, "plans", PLANS, "plans"),
    Mutant(plan_is_stored_after_what_it_asks, "plans", PLANS, "plans"),
    Mutant(plan_is_forgotten_by_a_new_life, "plans", PLANS, "plans"),
    Mutant(plan_waits_silently, "plans", PLANS, night=FAILS_HALF),
    Mutant(plan_is_never_over, "plans", PLANS, "plans"),
    Mutant(dwell_time_is_not_kept, "plans", ("dwell",), "plans", seconds=20, night=BACK_SOON),
    Mutant(blind_controller_judges_others, "plans", ("blind",), seconds=25, night=HEARS_ONE),
)
