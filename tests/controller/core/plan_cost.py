"""What plans cost where there are many services: `python -m tests.controller.core.plan_cost`.

In each night nothing can be moved, so that all services are asked about, as they are once a second
where the policy of a site wants them moved.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from config.tiers import TIERS
from controller.core.events import PlanAct, PlanAsked, Tick
from controller.core.foresight.preview import preview
from controller.core.model import Phase, ServiceState, State
from controller.core.plan_model import Plan, PlanKind, PlanMemory
from controller.core.plans.asking import make_plan
from controller.core.site_model import (
    Caution,
    Consequence,
    Health,
    Load,
    Nation,
    Sign,
    SiteSpec,
    SiteState,
)
from controller.core.step import step
from tests.controller.core.company import company, renamed, vcpu
from tests.controller.core.given import NOW, Given, backup_report

SERVICES = 250
IN_A_GROUP = 5
TIMES = 5
HOME, PARTNER = "jabodetabek", "batam"
ROOM = Load(vcpu=10_000.0)
CAUTION = Caution(PARTNER, "bmkg:1", "BMKG", "earthquake of M 6.2", 1, 2, until_ms=2**60)


def protected() -> Given:
    return Given(Phase.PROTECTED)


def behind() -> Given:
    """The backup does not follow."""
    return Given(Phase.PROTECTED).backup(backup_report(streaming=False))


def silent() -> Given:
    """The primary and its agent are silent, and the backup is lost as well."""
    return Given(Phase.PROTECTED).silent().backup(None)


def held() -> Given:
    """Each waits for the room of all others."""
    return Given(Phase.HELD).stopped()


def night(make: Callable[[], Given], led: Consequence, count: int) -> State:
    """Services in groups whose site is to be left, as its policy says."""
    policy = {"disk": dict.fromkeys(TIERS, led)}
    sign = Sign("disk", "2 GiB free", (), NOW - 60_000, NOW)
    ill = SiteSpec(HOME, partner=PARTNER, policy=policy, capacity=ROOM)
    home = SiteState(ill, Health.DEGRADED, "its disk fills", ("disk",), 0, (sign,))
    partner = SiteState(SiteSpec(PARTNER, partner=HOME, capacity=ROOM), Health.HEALTHY, "")
    nation = Nation(sites={HOME: home, PARTNER: partner}, judged_ms=NOW)
    return company(*(_one(make, number) for number in range(count)), nation=nation)


def _one(make: Callable[[], Given], number: int) -> ServiceState:
    group = f"app-{number // IN_A_GROUP}"
    return renamed(make(), f"s{number}", group=group, order=number % IN_A_GROUP, demand=vcpu(8))


def with_caution(state: State) -> State:
    return replace(state, nation=replace(state.nation, cautions=(CAUTION,)))


def wish(kind: PlanKind, **more: Any) -> PlanAsked:
    return replace(PlanAsked("q", PlanAct.BEGIN, "siti", "x", kind, HOME, dry_run=True), **more)


def under_way(state: State, kind: PlanKind) -> State:
    """A plan by policy that cannot ask for anything more at this moment."""
    plan: Plan = make_plan(state, wish(kind), dict.fromkeys(state.services, ""))
    steps = tuple(replace(one, tries=3) for one in plan.steps)
    memory = PlanMemory(1, taken_ms=NOW, tried_ms={one.key: NOW for one in steps})
    return replace(state, plan=replace(plan, steps=steps), plan_memory=memory)


def _begun(state: State, at_once: int) -> State:
    """A plan of a person that was stored a while ago, and of which nothing was asked for yet."""
    plan = make_plan(state, wish(PlanKind.EVACUATE, at_once=at_once))
    return replace(state, plan=plan, plan_memory=PlanMemory(1, taken_ms=NOW - 5000))


def nights(count: int = SERVICES) -> dict[str, Callable[[], object]]:
    """What is measured, by what it is."""
    careful = with_caution(night(protected, Consequence.EVACUATE, count))
    lagging = night(behind, Consequence.EVACUATE, count)
    dead = night(silent, Consequence.FAILOVER, count)
    waiting = night(held, Consequence.FAILOVER, count)
    drill = wish(PlanKind.DRILL)
    calm = night(protected, Consequence.EVACUATE, count)
    careless = night(protected, Consequence.NOTHING, count)
    return {
        "a tick: the policy evacuates, the partner is under caution": _tick(careful),
        "a tick: the policy evacuates, no backup follows": _tick(lagging),
        "a tick: the policy fails over, all are silent": _tick(dead),
        "a tick: the policy fails over, all are held": _tick(waiting),
        "a tick: a hundred may move at once": _tick(_begun(careless, at_once=100)),
        "a tick: an evacuation by policy rests": _tick(under_way(calm, PlanKind.EVACUATE)),
        "a tick: a failover by policy rests": _tick(under_way(dead, PlanKind.FAILOVER)),
        "a drill is asked for": lambda: step(lagging, drill, NOW),
        "a drill is foreseen": lambda: preview(lagging, drill, NOW),
        "a failover is foreseen": lambda: preview(dead, wish(PlanKind.FAILOVER), NOW),
        "a tick in which nothing is wished": _tick(night(protected, Consequence.ALARM, count)),
    }


def _tick(state: State) -> Callable[[], object]:
    return lambda: step(state, Tick(), NOW)


def cost_ms(do: Callable[[], object]) -> float:
    """The least of a few runs, of this process alone."""
    took = []
    for _ in range(TIMES):
        begun_s = time.process_time()
        do()
        took.append(time.process_time() - begun_s)
    return min(took) * 1000


if __name__ == "__main__":
    print(f"{SERVICES} services in groups of {IN_A_GROUP}; least of {TIMES} runs")
    for what, do in nights().items():
        print(f"{cost_ms(do):8.1f} ms  {what}")
