"""Plans that nobody asks for: a degraded site is left as its policy says, and gone back to.

One plan at a time, so many an hour, and none for a site that was left within the dwell time: what
is moved by itself is moved once. A controller that is probably the blind one makes none.
"""

from __future__ import annotations

from msgspec.structs import replace

from controller.core.actions import Action
from controller.core.events import PlanAct, PlanAsked
from controller.core.model import ServiceState, State
from controller.core.others import site_of
from controller.core.plans.asking import AWAY, all_refused, begin_plan, dwell_left_ms, make_plan
from controller.core.plans.going import Ask, go_on
from controller.core.plans.model import Failback, Moved, Plan, PlanKind, PlanStep
from controller.core.plans.willing import MOVES
from controller.core.sites.cautions import at
from controller.core.sites.model import Health, Stage
from controller.core.sites.policy import Wish, wished

HOUR_MS = 3_600_000
LOOK_EVERY_MS = 1000
BY = "the controller"


def move_sites(state: State, at_ms: int, now_ms: int, ask: Ask) -> tuple[State, list[Action]]:
    """The plan under way goes on; where there is none, one may be due."""
    if state.plan is None:
        return go_by_policy(state, at_ms, now_ms, ask)
    return go_on(state, now_ms, ask)


def go_by_policy(state: State, at_ms: int, now_ms: int, ask: Ask) -> tuple[State, list[Action]]:
    """Begin a plan where one is due, once a second at most."""
    if now_ms - state.plan_memory.looked_ms < LOOK_EVERY_MS:
        return state, []
    state = replace(state, plan_memory=replace(state.plan_memory, looked_ms=now_ms))
    if state.nation.blind or _spent(state, now_ms):
        return state, []
    for plan in (*_away(state, at_ms, now_ms), *_home(state, at_ms, now_ms)):
        if plan.steps and not all_refused(state, plan, now_ms, ask):
            state, save = begin_plan(state, plan, now_ms)
            return state, [save]
    return state, []


def _spent(state: State, now_ms: int) -> bool:
    """Whether the budget of this hour is used up."""
    made = [one for one in state.plan_memory.past if one.by_policy]
    lately = [one for one in made if now_ms - one.begun_ms < HOUR_MS]
    return len(lately) >= state.move_rules.per_hour


def _away(state: State, at_ms: int, now_ms: int) -> list[Plan]:
    """The plans that reasons of degraded sites lead to."""
    by_site: dict[str, list[Wish]] = {}
    for wish in wished(state.nation, state.services.values(), now_ms):
        if wish.consequence in MOVES:
            by_site.setdefault(wish.site, []).append(wish)
    plans = []
    for site, wishes in by_site.items():
        if dwell_left_ms(state, site, now_ms):
            continue
        kinds = [MOVES[wish.consequence] for wish in wishes]
        kind = PlanKind.FAILOVER if PlanKind.FAILOVER in kinds else PlanKind.EVACUATE
        plan = _plan(state, kind, site, wishes[0].because, at_ms)
        plans.append(replace(plan, steps=_only(plan.steps, wishes)))
    return plans


def _only(steps: tuple[PlanStep, ...], wishes: list[Wish]) -> tuple[PlanStep, ...]:
    """Those of which it is wished, and with each the rest of its group."""
    uids = [wish.service_uid for wish in wishes]
    lanes = [step.lane for step in steps if step.service_uid in uids]
    return tuple(step for step in steps if step.lane in lanes)


def _home(state: State, at_ms: int, now_ms: int) -> list[Plan]:
    """The plans that bring services back to where they prefer to be."""
    if state.move_rules.failback is not Failback.AFTER_DWELL:
        return []
    away = [s for s in state.services.values() if _is_away(s)]
    sites = dict.fromkeys(service.spec.replicas[0].site for service in away)
    why = "they prefer this site, which has been healthy for the dwell time"
    return [
        _plan(state, PlanKind.FAILBACK, site, why, at_ms)
        for site in sites
        if _is_home_again(state, site, now_ms)
    ]


def _is_away(service: ServiceState) -> bool:
    return site_of(service, service.record.primary) != service.spec.replicas[0].site


def _is_home_again(state: State, site: str, now_ms: int) -> bool:
    """Not where a person had it left: then a person has it gone back to."""
    there = state.nation.sites.get(site)
    if there is None or there.health is not Health.HEALTHY or there.spec.stage is not Stage.ACTIVE:
        return False
    dwelt = now_ms - there.since_ms >= state.move_rules.dwell_ms
    left = _last_left(state, site)
    by_hand = left is not None and not left.by_policy
    return (
        dwelt
        and not by_hand
        and not at(state.nation, site)
        and not dwell_left_ms(state, site, now_ms)
    )


def _last_left(state: State, site: str) -> Moved | None:
    left = [one for one in state.plan_memory.past if one.site == site and one.kind in AWAY]
    return left[-1] if left else None


def _plan(state: State, kind: PlanKind, site: str, reason: str, at_ms: int) -> Plan:
    wish = PlanAsked("", PlanAct.BEGIN, BY, reason, kind, site, at_ms=at_ms)
    return make_plan(state, wish, by_policy=True)
