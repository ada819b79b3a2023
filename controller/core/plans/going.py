"""A plan goes on: which steps are asked for now, and what is stored and told of it.

A step asks for the very switchover or failover that an operator could ask for. One that is
refused or given up is asked for again after a growing pause, a bounded number of times; then the
plan goes on with the rest, and in the end it waits for a person.
"""

from __future__ import annotations

from typing import Protocol

from msgspec.structs import replace

from controller.core.actions import Action, Answer, SavePlan, Swap
from controller.core.conditions.pair import primary_proves
from controller.core.events import Kind, Requested
from controller.core.model import Phase, State
from controller.core.moment.others import Others
from controller.core.moment.view import View
from controller.core.plan_model import (
    AWAY,
    BY_POLICY_AT_MOST,
    OVER,
    Moved,
    Plan,
    PlanChange,
    PlanKind,
    PlanMemory,
    PlanStatus,
    PlanStep,
    StepStatus,
)
from controller.core.plans.held import begun_lanes, held_lanes
from controller.core.plans.judging import (
    TRIES_AT_MOST,
    judge_steps,
    lane_heads,
    note_try,
    paused_where_restored,
    present_leg,
    stay_behind,
    summed,
    tried_out,
)
from controller.core.plans.standing import Standing
from controller.core.plans.waiting import given_up_in_time
from controller.core.plans.willing import unsure, wishes_for, without_dropped

PAUSE_MS = 1000
"""After the first try; each further one is twice as long, up to the longest."""
PAUSE_AT_MOST_MS = 60_000
TRIES_TAKE_MS = sum(min(PAUSE_AT_MOST_MS, PAUSE_MS << tried) for tried in range(TRIES_AT_MOST - 1))
"""From the first try to the last one."""
ASKED_AT_MOST = 8
"""So many steps are asked for in one tick, for each looks at all services; others have the next."""
LOOK_AT_MOST_MS = 120_000
"""So long after it was moved a service is asked to come back even if it has no backup yet."""
LOOK_AT_LEAST_MS = 5000
"""So long a service of a drill commits at the partner before it is asked to come back."""


class Ask(Protocol):
    """The rules' answer to a request; the last of the actions is the Answer."""

    def __call__(
        self, state: State, event: Requested, now_ms: int, others: Others | None = None, /
    ) -> tuple[State, list[Action]]: ...


def take_up(
    state: State, plan: Plan | None, past: tuple[Moved, ...], made: int, now_ms: int
) -> State:
    """The state of a controller that begins to lead, with the stored plan that is not over, and
    the number of the last one."""
    memory = PlanMemory(made, remembered(past), taken_ms=now_ms)
    return replace(state, plan=plan, plan_memory=memory)


def note_takeovers(state: State, actions: list[Action]) -> State:
    """Remember what the takeovers of this moment cost, for the steps of the plan."""
    memory = state.plan_memory
    for action in actions:
        if not isinstance(action, Swap):
            continue
        told = action.transition
        if told.outage_ms >= 0:
            outages = {**memory.outage_ms, told.service_uid: told.outage_ms}
            memory = replace(memory, outage_ms=outages)
        if told.to_phase == Phase.PROMOTING and told.from_phase != Phase.PROMOTING:
            losses = {**memory.loss_bytes, told.service_uid: told.loss_bytes}
            memory = replace(memory, loss_bytes=losses)
    return state if memory is state.plan_memory else replace(state, plan_memory=memory)


def go_on(state: State, now_ms: int, ask: Ask) -> tuple[State, list[Action]]:
    """Judge each step, ask for those whose turn it is; the plan is stored before what follows."""
    before = state.plan
    if before is None:
        return state, []
    state, plan = judge_steps(state, before, now_ms)
    actions: list[Action] = []
    plan = paused_where_restored(state, plan)
    plan, not_now = _reviewed(state, plan, now_ms)
    if plan.status is not PlanStatus.PAUSED and not not_now:
        for key in _due(state, plan, now_ms):
            state, plan, more = _try(state, plan, key, now_ms, ask)
            actions += more
        state, plan = judge_steps(state, plan, now_ms)
    plan = summed(state, plan, now_ms, not_now)
    state, plan = given_up_in_time(state, plan, now_ms, not_now)
    if plan == before:
        return replace(state, plan=before), actions
    plan = replace(plan, revision=before.revision + 1)
    save = SavePlan(plan, before.revision, _changes(before, plan))
    return taken(state, plan, now_ms), [save, *actions]


def taken(state: State, plan: Plan, now_ms: int) -> State:
    """The state with this plan as the one under way, or as a past one where it is over."""
    if plan.status not in OVER:
        return replace(state, plan=plan)
    memory = state.plan_memory
    over = Moved(
        plan.id, plan.kind, plan.site, plan.status, memory.taken_ms, now_ms, plan.by_policy
    )
    past = remembered((*memory.past, over))
    return replace(state, plan=None, plan_memory=PlanMemory(memory.made, past))


def remembered(past: tuple[Moved, ...]) -> tuple[Moved, ...]:
    """Of plans that are over, the oldest first, those that are still counted from: of each site
    the last one that left it, and as many by policy as an hour may see. However many others there
    are, they push none of these out."""
    left = {one.site: one for one in past if one.kind in AWAY}
    by_policy = [one for one in past if one.by_policy][-BY_POLICY_AT_MOST:]
    return tuple(one for one in past if left.get(one.site) == one or one in by_policy)


def _reviewed(state: State, plan: Plan, now_ms: int) -> tuple[Plan, str]:
    """A plan by policy without what is wished no more, and why nothing is asked for now."""
    if not plan.by_policy or plan.status is PlanStatus.PAUSED:
        return plan, ""
    wishes = wishes_for(state, plan, now_ms)
    not_now = unsure(state, plan, wishes, now_ms)
    if not_now:
        return plan, not_now
    steps = without_dropped(state, plan, wishes, now_ms)
    return replace(plan, steps=stay_behind(plan, steps)), ""


def _due(state: State, plan: Plan, now_ms: int) -> list[str]:
    """The steps to ask for now: lanes that have begun first, then in the plan's order."""
    heads = lane_heads(state, plan, now_ms)
    moving = sum(1 for _step, where in heads if where is Standing.ON_ITS_WAY)
    leg = present_leg(plan)
    held, begun = held_lanes(state, plan, leg), begun_lanes(plan, leg)
    ready = [
        step for step, where in heads
        if where is Standing.FREE and step.lane not in held
        and not tried_out(step) and _is_rested(state, step, now_ms)
    ]  # fmt: skip
    ready.sort(key=lambda step: step.lane not in begun)
    return [step.key for step in ready[: max(0, min(ASKED_AT_MOST, plan.at_once - moving))]]


def _is_rested(state: State, step: PlanStep, now_ms: int) -> bool:
    memory, service = state.plan_memory, state.services[step.service_uid]
    if step.leg > 1 and step.tries == 0:
        # Moved a moment ago: it is looked at, and brought back once its new backup may take over.
        moved_ms = memory.tried_ms.get(replace(step, leg=step.leg - 1).key, memory.taken_ms)
        protected = service.record.phase is Phase.PROTECTED
        return now_ms - moved_ms >= (LOOK_AT_LEAST_MS if protected else LOOK_AT_MOST_MS)
    return now_ms - memory.tried_ms.get(step.key, memory.taken_ms) >= pause_ms(step)


def pause_ms(step: PlanStep) -> int:
    """How long the next try waits after the last one."""
    return min(PAUSE_AT_MOST_MS, PAUSE_MS << max(0, step.tries - 1)) if step.tries else 0


def _try(
    state: State, plan: Plan, key: str, now_ms: int, ask: Ask
) -> tuple[State, Plan, list[Action]]:
    step = next(one for one in plan.steps if one.key == key)
    view = View(state.services[step.service_uid], now_ms)
    state, actions = ask(state, request_for(plan, step, view), now_ms)
    *rest, answer = actions
    assert isinstance(answer, Answer)
    asked = replace(
        step,
        tries=step.tries + 1,
        status=StepStatus.MOVING if answer.accepted else StepStatus.TO_DO,
        because=answer.text if answer.accepted else refused_because(answer),
    )
    steps = tuple(asked if one.key == key else one for one in plan.steps)
    return note_try(state, step, now_ms), replace(plan, steps=steps), rest


def request_for(plan: Plan, step: PlanStep, view: View) -> Requested:
    """What the step asks for: a failover only in a failover, and where the primary is not heard.
    One that nobody asked for asks for nothing but that: who commits is left where it is."""
    silent = plan.kind is PlanKind.FAILOVER and (plan.by_policy or not primary_proves(view))
    return Requested(
        id=f"{plan.id}/{step.key}/{step.tries + 1}",
        kind=Kind.FAILOVER if silent else Kind.SWITCHOVER,
        service_uid=step.service_uid,
        by=plan.by,
        reason=f"{plan.id}: {plan.reason or 'no reason given'}",
        despite_caution=plan.despite_caution,
        over_capacity=plan.over_capacity and not silent,
        plan=plan.id,
    )


def refused_because(answer: Answer) -> str:
    """A refusal in one sentence."""
    return "; ".join((answer.text, *answer.unmet))


def _changes(before: Plan, after: Plan) -> tuple[PlanChange, ...]:
    """The lines of history, the plan's own last."""
    told = [
        step_change(after, new)
        for old, new in zip(before.steps, after.steps, strict=True)
        if (old.status, old.tries) != (new.status, new.tries)
    ]
    if (before.status, before.because) != (after.status, after.because):
        told.append(plan_change(after))
    return tuple(told)


def plan_change(plan: Plan, because: str = "", by: str = "", reason: str = "") -> PlanChange:
    """A line about the plan itself."""
    text = because or plan.because or f"the plan is {plan.status.value}"
    return PlanChange(
        plan.id, plan.kind, plan.site, plan.revision, plan.status, text, by=by, reason=reason
    )


def step_change(plan: Plan, step: PlanStep) -> PlanChange:
    """A line about one step."""
    return PlanChange(
        plan.id, plan.kind, plan.site, plan.revision, plan.status, step.because, step.service,
        step.status.value, outage_ms=step.outage_ms, loss_bytes=step.loss_bytes,
    )  # fmt: skip
