"""What a plan would do: its steps with the predicted outage and loss, the time, and the room after.

The outages follow from the live lease settings, the losses from what was heard last.
"""

from __future__ import annotations

from msgspec import Struct

from config.measures import UNITS
from controller.core.events import Kind, PlanAsked
from controller.core.explanation.explain import PROMOTION_GUESS_MS, predicted_failover_ms
from controller.core.gates.room import measures
from controller.core.model import ServiceState, State
from controller.core.moment.others import Others, site_of
from controller.core.moment.view import View
from controller.core.plan_model import SETTLED, Plan, PlanStep, StepStatus
from controller.core.plans.asking import make_plan, refusal_now
from controller.core.plans.going import request_for
from controller.core.plans.making import taken_at
from controller.core.site_model import Load
from controller.core.step import on_request

MOVE_GUESS_MS = 3000
"""From a request to the new primary's service, until the first one was measured."""
ROUNDING = 3


class StepPreview(Struct, frozen=True):
    """One step."""

    service: str
    group: str
    order: int
    tier: str
    leg: int
    from_agent: str
    from_site: str
    to_agent: str
    to_site: str
    how: str
    """`switchover`, `failover`; empty where it is left out."""
    outage_ms: int
    """How long no commit would succeed, as predicted; -1 where it is left out."""
    loss_bytes: int | None
    """Estimated; None where it is not known."""
    left_out: str
    """Why it would not be moved; empty where it would."""
    refused_now: str
    """Why it would be refused at this very moment; it is asked for again."""


class Room(Struct, frozen=True):
    """One measure of a site: what there is, and what is taken before and after."""

    site: str
    measure: str
    has: float
    """0 where nothing is declared, so that nothing is refused for the want of it."""
    taken: float
    after: float


class Preview(Struct, frozen=True):
    """The whole plan."""

    kind: str
    site: str
    at_once: int
    steps: tuple[StepPreview, ...]
    takes_ms: int
    """Until all is moved, about."""
    room: tuple[Room, ...]


def preview(state: State, wish: PlanAsked, now_ms: int) -> Preview:
    """What this wish would lead to now."""
    plan = make_plan(state, wish)
    others = Others(state.services, state.nation, now_ms)
    return Preview(
        kind=plan.kind.value,
        site=plan.site,
        at_once=plan.at_once,
        steps=tuple(_step(state, plan, step, others) for step in plan.steps),
        takes_ms=left_ms(plan),
        room=_room(state, plan),
    )


def left_ms(plan: Plan) -> int:
    """How long the rest of a plan takes, about: by what its moves took so far."""
    took = [step.took_ms for step in plan.steps if step.took_ms >= 0]
    each_ms = sum(took) // len(took) if took else MOVE_GUESS_MS
    turns = 0
    for leg in sorted({step.leg for step in plan.steps}):
        lanes: dict[tuple[str, str], int] = {}
        for step in plan.steps:
            if step.leg == leg and step.status not in SETTLED:
                lanes[step.lane] = lanes.get(step.lane, 0) + 1
        turns += max(max(lanes.values(), default=0), -(-sum(lanes.values()) // plan.at_once))
    return turns * each_ms


def _step(state: State, plan: Plan, step: PlanStep, others: Others) -> StepPreview:
    now_ms = others.now_ms
    service = state.services[step.service_uid]
    stays = step.status is StepStatus.LEFT_OUT
    kind = request_for(plan, step, View(service, now_ms)).kind
    outage_ms, loss_bytes = _cost(service, kind, now_ms)
    return StepPreview(
        service=step.service,
        group=step.group,
        order=step.order,
        tier=step.tier,
        leg=step.leg,
        from_agent=step.from_agent,
        from_site=site_of(service, step.from_agent),
        to_agent=step.to_agent,
        to_site=site_of(service, step.to_agent),
        how="" if stays else kind.value,
        outage_ms=-1 if stays else outage_ms,
        loss_bytes=None if stays else loss_bytes,
        left_out=step.because if stays else "",
        refused_now="" if stays else refusal_now(state, plan, step, others, on_request),
    )


def _cost(service: ServiceState, kind: Kind, now_ms: int) -> tuple[int, int | None]:
    if kind is Kind.SWITCHOVER:
        return PROMOTION_GUESS_MS, 0
    view = View(service, now_ms)
    silent_ms = max(0, view.silence_ms) if service.proven_once else 0
    outage_ms = max(predicted_failover_ms(service.record), silent_ms + PROMOTION_GUESS_MS)
    return outage_ms, view.loss_bytes


def _room(state: State, plan: Plan) -> tuple[Room, ...]:
    """Of each site that is moved to."""
    moved: dict[str, list[Load]] = {}
    for step in plan.steps:
        service = state.services[step.service_uid]
        if step.leg == 1 and step.status is StepStatus.TO_DO:
            moved.setdefault(site_of(service, step.to_agent), []).append(service.spec.demand)
    return tuple(
        room for site, demands in moved.items() for room in _measured(state, site, demands)
    )


def _measured(state: State, site: str, demands: list[Load]) -> list[Room]:
    there = state.nation.sites.get(site)
    has = measures(there.spec.capacity or Load()) if there else measures(Load())
    taken = measures(taken_at(state, site))
    more = [sum(column) for column in zip(*map(measures, demands), strict=True)]
    return [
        Room(site, name, there_is, round(used, ROUNDING), round(used + extra, ROUNDING))
        for name, there_is, used, extra in zip(UNITS, has, taken, more, strict=True)
        if there_is or extra
    ]
