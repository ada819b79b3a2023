"""Makes the steps of a plan: who moves, in which order, and who is left out, and why.

Groups stand in the order of the tier that matters most in them, strategis first; inside of a
group services stand by their order. What does not fit where it would be moved to is left out, and
so whoever matters most comes first. Where a service of a group cannot be moved, those after it
stay beside it; only in a failover they move all the same, for where they stand they do not serve.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from config.measures import UNITS
from config.tiers import TIERS
from controller.core.events import PlanAsked
from controller.core.gates.room import plus, short_of, total
from controller.core.model import ServiceState, State
from controller.core.moment.others import site_of
from controller.core.plan_model import PlanKind, PlanStep, StepStatus
from controller.core.site_model import Load, Stage


def plan_steps(
    state: State, wish: PlanAsked, chosen: Mapping[str, str] | None
) -> tuple[PlanStep, ...]:
    """The steps in the order in which they are begun; empty where nothing is to be moved.

    `chosen` is of a plan by policy: the uids of those that it is about, and what is against
    moving each, or nothing.
    """
    meant = [s for s in state.services.values() if is_meant(s, wish.kind, wish.site)]
    if chosen is not None:
        meant = [service for service in meant if service.spec.uid in chosen]
    steps = [_step(state, service, (chosen or {}).get(service.spec.uid, "")) for service in meant]
    ordered = [step for lane in _lanes(steps) for step in lane]
    if not wish.over_capacity:
        ordered = _within_room(state, ordered)
    if wish.kind is not PlanKind.FAILOVER:
        ordered = _together(ordered)
    if wish.kind is PlanKind.DRILL:
        ordered += [_way_back(step) for step in ordered if step.status is StepStatus.TO_DO]
    return tuple(ordered)


def taken_at(state: State, site: str) -> Load:
    """What the services whose primary stands there demand together."""
    return total([s for s in state.services.values() if site_of(s, s.record.primary) == site])


def is_meant(service: ServiceState, kind: PlanKind, site: str) -> bool:
    """Whether a plan of this kind for this site is about the service."""
    here = site_of(service, service.record.primary) == site
    if kind is PlanKind.FAILBACK:
        return not here and service.spec.replicas[0].site == site
    return here


def _step(state: State, service: ServiceState, against: str) -> PlanStep:
    record, spec = service.record, service.spec
    why = _left_out(state, service) or against
    return PlanStep(
        service=record.service,
        service_uid=record.service_uid,
        group=spec.group,
        order=spec.order,
        from_agent=record.primary,
        to_agent=record.backup,
        status=StepStatus.LEFT_OUT if why else StepStatus.TO_DO,
        because=why,
        tier=spec.tier,
    )


def _left_out(state: State, service: ServiceState) -> str:
    """Why a service cannot be moved, whatever is waited for; empty when it can."""
    record = service.record
    target = site_of(service, record.backup)
    if not record.backup:
        return f"{record.service} has no backup"
    if target == site_of(service, record.primary):
        return f"its backup {record.backup} stands at {target}, too"
    there = state.nation.sites.get(target)
    if there is not None and there.spec.stage is not Stage.ACTIVE:
        return f"its backup stands at {target}, which is {there.spec.stage.value}"
    if record.hold is not None:
        return f"an integrity hold is on it: `saling release {record.service}` ends that"
    return ""


def _lanes(steps: Iterable[PlanStep]) -> list[list[PlanStep]]:
    """What moves one after the other, the lane that matters most first."""
    lanes: dict[tuple[str, str], list[PlanStep]] = {}
    for step in sorted(steps, key=lambda one: (one.order, _rank(one.tier), one.service)):
        lanes.setdefault(step.lane, []).append(step)
    return sorted(lanes.values(), key=lambda lane: (min(_rank(s.tier) for s in lane), lane[0].lane))


def _rank(tier: str) -> int:
    """0 for what matters most."""
    return TIERS.index(tier) if tier in TIERS else len(TIERS)


def _within_room(state: State, steps: list[PlanStep]) -> list[PlanStep]:
    """Left out are those for which those before them leave no room."""
    taken: dict[str, Load] = {}
    told = []
    for step in steps:
        service = state.services[step.service_uid]
        site, demand = site_of(service, step.to_agent), service.spec.demand
        if site not in taken:
            taken[site] = taken_at(state, site)
        before = taken[site]
        why = _no_room(state, site, before, demand) if step.status is StepStatus.TO_DO else ""
        if step.status is StepStatus.TO_DO and not why:
            taken[site] = plus(before, demand)
        told.append(replace(step, status=StepStatus.LEFT_OUT, because=why) if why else step)
    return told


def _no_room(state: State, site: str, taken: Load, demand: Load) -> str:
    there = state.nation.sites.get(site)
    if there is None or there.spec.capacity is None:
        return ""
    lacks = ", ".join(UNITS[key] for key in short_of(there.spec, taken, demand))
    return f"{site} has no room for it then ({lacks}); --over-capacity moves it" if lacks else ""


def _together(steps: list[PlanStep]) -> list[PlanStep]:
    """Who comes after one of his group that is not moved stays beside it."""
    told: list[PlanStep] = []
    first_of: dict[tuple[str, str], PlanStep] = {}
    for step in steps:
        first = first_of.get(step.lane)
        if first is not None and step.status is StepStatus.TO_DO:
            why = f"{first.service}, which comes before it in {step.group}, is not moved"
            told.append(replace(step, status=StepStatus.LEFT_OUT, because=why))
            continue
        if step.status is StepStatus.LEFT_OUT:
            first_of.setdefault(step.lane, step)
        told.append(step)
    return told


def _way_back(step: PlanStep) -> PlanStep:
    return replace(step, from_agent=step.to_agent, to_agent=step.from_agent, leg=2)
