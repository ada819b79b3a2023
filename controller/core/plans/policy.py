"""Plans that nobody asks for: a degraded site is left as its policy says, and gone back to.

One plan at a time, so many an hour, and none for a site that was left within the dwell time: what
is moved by itself is moved once. A controller that is probably the blind one makes none.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from controller.core.actions import Action
from controller.core.events import PlanAct, PlanAsked
from controller.core.model import BY_ITSELF, Phase, ServiceState, State
from controller.core.moment.others import site_of
from controller.core.plan_model import AWAY, Failback, Moved, Plan, PlanKind
from controller.core.plans.asking import all_refused, begin_plan, dwell_left_ms, make_plan
from controller.core.plans.going import Ask, go_on
from controller.core.plans.making import is_meant
from controller.core.plans.willing import MOVES
from controller.core.site_model import Health, Stage
from controller.core.sites.cautions import at
from controller.core.sites.policy import Wish, wished

HOUR_MS = 3_600_000
LOOK_EVERY_MS = 1000


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
        # What is only to be evacuated is not failed over with what is.
        meant = [wish for wish in wishes if MOVES[wish.consequence] is kind]
        chosen = _chosen(state, kind, meant, now_ms)
        plans.append(_plan(state, kind, site, meant[0].because, at_ms, chosen))
    return plans


def _chosen(state: State, kind: PlanKind, wishes: list[Wish], now_ms: int) -> dict[str, str]:
    """Those of which it is wished, and with each the rest of its group; what is against each."""
    site, uids = wishes[0].site, frozenset(wish.service_uid for wish in wishes)
    meant = [s for s in state.services.values() if is_meant(s, kind, site)]
    lanes = frozenset(_lane(service) for service in meant if service.spec.uid in uids)
    return {s.spec.uid: _against(state, s, now_ms) for s in meant if _lane(s) in lanes}


def _lane(service: ServiceState) -> tuple[str, str]:
    spec = service.spec
    return ("group", spec.group) if spec.group else ("service", spec.name)


def _against(state: State, service: ServiceState, now_ms: int) -> str:
    """Why a service is moved by a person alone; empty when it is not so."""
    record, target = service.record, site_of(service, service.record.backup)
    if record.paused:
        return f"its automatic failover is paused ({record.paused})"
    left_ms = dwell_left_ms(state, target, now_ms)
    if left_ms:
        ends = f"its dwell time ends in {left_ms // 1000} s"
        return f"its backup stands at {target}, which was left a while ago: {ends}"
    return ""


def _home(state: State, at_ms: int, now_ms: int) -> list[Plan]:
    """The plans that bring services back to where they prefer to be."""
    if state.move_rules.failback is not Failback.AFTER_DWELL:
        return []
    away = [s for s in state.services.values() if _is_away(s)]
    sites = dict.fromkeys(service.spec.replicas[0].site for service in away)
    why = "they prefer this site, which has been healthy for the dwell time"
    return [
        _plan(state, PlanKind.FAILBACK, site, why, at_ms, _going_home(state, site, now_ms))
        for site in sites
        if _is_home_again(state, site, now_ms)
    ]


def _is_away(service: ServiceState) -> bool:
    return site_of(service, service.record.primary) != service.spec.replicas[0].site


def _going_home(state: State, site: str, now_ms: int) -> dict[str, str]:
    """Those that are brought back. Of a group all that are away, or none."""
    meant = [s for s in state.services.values() if is_meant(s, PlanKind.FAILBACK, site)]
    stay = frozenset(_lane(one) for one in meant if not _may_go_home(state, one, now_ms))
    return {s.spec.uid: _against(state, s, now_ms) for s in meant if _lane(s) not in stay}


def _may_go_home(state: State, service: ServiceState, now_ms: int) -> bool:
    """Whether it has been well away for the dwell time, and nobody had it moved there. A life of
    the controller counts from its own beginning, so never too long."""
    record = service.record
    dwelt = now_ms - service.entered_ms >= state.move_rules.dwell_ms
    return record.phase is Phase.PROTECTED and dwelt and record.moved_by == BY_ITSELF


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


def _plan(
    state: State, kind: PlanKind, site: str, reason: str, at_ms: int, chosen: Mapping[str, str]
) -> Plan:
    wish = PlanAsked("", PlanAct.BEGIN, BY_ITSELF, reason, kind, site, at_ms=at_ms)
    return make_plan(state, wish, chosen)
