"""Makes the steps of a plan: who moves, in which order, and who is left out, and why.

Groups stand in the order of the tier that matters most in them, strategis first; inside of a
group services stand by their order. Where a service of a group cannot be moved, those after it
stay beside it; only in a failover they move all the same, for where they stand they do not serve.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from controller.core.model import ServiceState, State
from controller.core.plans.model import PlanKind, PlanStep, StepStatus
from controller.core.sites.model import Stage

TIERS = ("strategis", "tinggi", "rendah")
"""What matters most, first."""


def plan_steps(state: State, kind: PlanKind, site: str, by_policy: bool) -> tuple[PlanStep, ...]:
    """The steps in the order in which they are begun; empty where nothing is to be moved."""
    chosen = [s for s in state.services.values() if _is_meant(s, kind, site)]
    steps = [_step(state, service, by_policy) for service in chosen]
    ordered = [step for lane in _lanes(steps) for step in _together(lane, kind)]
    if kind is PlanKind.DRILL:
        ordered += [_way_back(step) for step in ordered if step.status is StepStatus.TO_DO]
    return tuple(ordered)


def site_of(service: ServiceState, agent: str) -> str:
    """The site of a service's copy; empty where there is none."""
    replica = service.spec.replica(agent)
    return replica.site if replica else ""


def rank(tier: str) -> int:
    """0 for what matters most."""
    return TIERS.index(tier) if tier in TIERS else len(TIERS)


def _is_meant(service: ServiceState, kind: PlanKind, site: str) -> bool:
    here = site_of(service, service.record.primary) == site
    if kind is PlanKind.FAILBACK:
        return not here and service.spec.replicas[0].site == site
    return here


def _step(state: State, service: ServiceState, by_policy: bool) -> PlanStep:
    record, spec = service.record, service.spec
    why = _left_out(state, service, by_policy)
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


def _left_out(state: State, service: ServiceState, by_policy: bool) -> str:
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
    if by_policy and record.paused:
        return f"its automatic failover is paused ({record.paused})"
    return ""


def _lanes(steps: Iterable[PlanStep]) -> list[list[PlanStep]]:
    """What moves one after the other, the lane that matters most first."""
    lanes: dict[tuple[str, str], list[PlanStep]] = {}
    for step in sorted(steps, key=lambda one: (one.order, rank(one.tier), one.service)):
        lanes.setdefault(step.lane, []).append(step)
    return sorted(lanes.values(), key=lambda lane: (min(rank(s.tier) for s in lane), lane[0].lane))


def _together(lane: list[PlanStep], kind: PlanKind) -> list[PlanStep]:
    if kind is PlanKind.FAILOVER:
        return lane
    told: list[PlanStep] = []
    for step in lane:
        stays = next((one.service for one in told if one.status is StepStatus.LEFT_OUT), "")
        why = f"{stays}, which comes before it in the group {step.group}, is not moved"
        told.append(replace(step, status=StepStatus.LEFT_OUT, because=why) if stays else step)
    return told


def _way_back(step: PlanStep) -> PlanStep:
    return replace(step, from_agent=step.to_agent, to_agent=step.from_agent, leg=2)
