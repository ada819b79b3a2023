"""A plan goes on: where each step stands, which ones are asked for now, and what it waits for.

A step asks for the very switchover or failover that an operator could ask for. One that is
refused or given up is asked for again after a growing pause, a bounded number of times; then the
plan goes on with the rest, and in the end it waits for a person.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from msgspec.structs import replace

from controller.core.actions import Action, Answer, SavePlan, Swap
from controller.core.conditions.pair import primary_proves
from controller.core.events import Kind, Requested
from controller.core.model import HeldFor, Phase, State
from controller.core.moment.others import Others
from controller.core.moment.view import View
from controller.core.plan_model import (
    OVER,
    SETTLED,
    Moved,
    Plan,
    PlanChange,
    PlanKind,
    PlanMemory,
    PlanStatus,
    PlanStep,
    StepStatus,
)
from controller.core.plans.standing import Standing, standing
from controller.core.plans.willing import unsure, wishes_for, without_dropped

TRIES_AT_MOST = 12
PAUSE_MS = 1000
"""After the first try; each further one is twice as long, up to the longest."""
PAUSE_AT_MOST_MS = 60_000
TRIES_TAKE_MS = sum(min(PAUSE_AT_MOST_MS, PAUSE_MS << tried) for tried in range(TRIES_AT_MOST - 1))
"""From the first try to the last one."""
LOOK_AT_MOST_MS = 120_000
"""So long after it was moved a service is asked to come back even if it has no backup yet."""
LOOK_AT_LEAST_MS = 5000
"""So long a service of a drill commits at the partner before it is asked to come back."""
PAST_AT_MOST = 16
RESTORED = (HeldFor.RESTORED, HeldFor.ADOPTION)


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
    return replace(state, plan=plan, plan_memory=PlanMemory(made, past, taken_ms=now_ms))


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
    state, plan = _judged(state, before, now_ms)
    actions: list[Action] = []
    plan = _paused_where_restored(state, plan)
    plan, not_now = _reviewed(state, plan, now_ms)
    if plan.status is not PlanStatus.PAUSED and not not_now:
        for key in _due(state, plan, now_ms):
            state, plan, more = _try(state, plan, key, now_ms, ask)
            actions += more
        state, plan = _judged(state, plan, now_ms)
    plan = _summed(state, plan, now_ms, not_now)
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
    past = (*memory.past, over)[-PAST_AT_MOST:]
    return replace(state, plan=None, plan_memory=PlanMemory(memory.made, past))


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
    )


def refused_because(answer: Answer) -> str:
    """A refusal in one sentence."""
    return "; ".join((answer.text, *answer.unmet))


def tried_out(step: PlanStep) -> bool:
    """Whether it was asked for often enough."""
    return step.tries >= TRIES_AT_MOST


def pause_ms(step: PlanStep) -> int:
    """How long the next try waits after the last one."""
    return min(PAUSE_AT_MOST_MS, PAUSE_MS << max(0, step.tries - 1)) if step.tries else 0


def present_leg(plan: Plan) -> int:
    """The leg whose steps are moved now; 0 when all are settled."""
    return min((step.leg for step in plan.steps if step.status not in SETTLED), default=0)


def _judged(state: State, plan: Plan, now_ms: int) -> tuple[State, Plan]:
    leg, steps = present_leg(plan), []
    for step in plan.steps:
        judged = step
        if step.leg == leg and step.status not in SETTLED:
            state, judged = _judge(state, plan, step, now_ms)
        steps.append(judged)
    return state, replace(plan, steps=_stay_behind(plan, steps))


def _paused_where_restored(state: State, plan: Plan) -> Plan:
    """A store that is an older copy brings back a plan that may be over since, and undone. Who
    began or resumed it while a service was held so knew of that."""
    services = [state.services[uid] for uid in _uids(plan) if uid in state.services]
    since_ms = state.plan_memory.taken_ms
    held = [
        one.record.service for one in services
        if one.record.phase is Phase.HELD and one.record.held_for in RESTORED
        and one.entered_ms >= since_ms
    ]  # fmt: skip
    if plan.status is PlanStatus.PAUSED or not held:
        return plan
    because = (
        f"the store was restored, as {held[0]} shows, and may hold an older plan: `saling plan "
        "resume` if it is still wanted, or `saling plan end`"
    )
    return replace(plan, status=PlanStatus.PAUSED, because=because)


def _uids(plan: Plan) -> tuple[str, ...]:
    return tuple(dict.fromkeys(step.service_uid for step in plan.steps))


def _reviewed(state: State, plan: Plan, now_ms: int) -> tuple[Plan, str]:
    """A plan by policy without what is wished no more, and why nothing is asked for now."""
    if not plan.by_policy or plan.status is PlanStatus.PAUSED:
        return plan, ""
    wishes = wishes_for(state, plan, now_ms)
    not_now = unsure(state, plan, wishes, now_ms)
    if not_now:
        return plan, not_now
    steps = without_dropped(state, plan, wishes, now_ms)
    return replace(plan, steps=_stay_behind(plan, steps)), ""


def _judge(state: State, plan: Plan, step: PlanStep, now_ms: int) -> tuple[State, PlanStep]:
    where, because = standing(state, step, now_ms)
    memory = state.plan_memory
    if where is Standing.SERVES:
        uid, since_ms = step.service_uid, memory.tried_ms.get(step.key, now_ms)
        took_ms = (
            now_ms - since_ms if step.status is StepStatus.MOVING and since_ms < now_ms else -1
        )
        done = replace(
            step, status=StepStatus.DONE, because=because, took_ms=took_ms,
            outage_ms=memory.outage_ms.get(uid, -1), loss_bytes=memory.loss_bytes.get(uid, -1),
        )  # fmt: skip
        return _forget(state, uid), done
    if where is Standing.GONE:
        return state, replace(step, status=StepStatus.LEFT_OUT, because=because)
    if where is Standing.FREE and step.status is StepStatus.MOVING:
        given_up = replace(step, status=StepStatus.TO_DO, because=f"was given up: {because}")
        return _tried(state, step, now_ms), given_up
    if where is Standing.ON_ITS_WAY and step.status is StepStatus.TO_DO:
        return state, replace(step, status=StepStatus.MOVING, because=because)
    if plan.kind is PlanKind.DRILL and step.leg == 1 and where is Standing.FREE and tried_out(step):
        # What a drill cannot move stays where it serves; the others are to be brought back.
        why = f"could not be moved: {step.because}"
        return state, replace(step, status=StepStatus.LEFT_OUT, because=why)
    return state, step


def _stay_behind(plan: Plan, steps: Iterable[PlanStep]) -> tuple[PlanStep, ...]:
    """In a drill, who is not moved away keeps those after it in its group, and is not brought
    back either. In a plan by policy, too, but where they do not serve."""
    in_order = plan.by_policy and plan.kind is not PlanKind.FAILOVER
    if plan.kind is not PlanKind.DRILL and not in_order:
        return tuple(steps)
    told: list[PlanStep] = []
    stays: dict[str, PlanStep] = {}
    first_of: dict[tuple[str, str], PlanStep] = {}
    for step in steps:
        why = _keeps(stays, first_of, step) if step.status is StepStatus.TO_DO else ""
        kept = replace(step, status=StepStatus.LEFT_OUT, because=why) if why else step
        if kept.leg == 1 and kept.status is StepStatus.LEFT_OUT:
            stays[kept.service_uid] = kept
            first_of.setdefault(kept.lane, kept)
        told.append(kept)
    return tuple(told)


def _keeps(
    stays: dict[str, PlanStep], first_of: dict[tuple[str, str], PlanStep], step: PlanStep
) -> str:
    """What keeps a step of a drill, given who before it stays by uid, and the first of each lane;
    empty when nothing does."""
    if step.leg > 1:
        return "it was not moved away" if step.service_uid in stays else ""
    first = first_of.get(step.lane)
    return f"{first.service}, which comes before it, is not moved" if first else ""


def _due(state: State, plan: Plan, now_ms: int) -> list[str]:
    """The steps to ask for now: lanes that have begun first, then in the plan's order."""
    heads = _heads(state, plan, now_ms)
    moving = sum(1 for _step, where in heads if where is Standing.ON_ITS_WAY)
    ready = [
        step for step, where in heads
        if where is Standing.FREE and not tried_out(step) and _is_rested(state, step, now_ms)
    ]  # fmt: skip
    begun = {
        step.lane for step in plan.steps if step.status in (StepStatus.DONE, StepStatus.MOVING)
    }
    ready.sort(key=lambda step: step.lane not in begun)
    return [step.key for step in ready[: max(0, plan.at_once - moving)]]


def _heads(state: State, plan: Plan, now_ms: int) -> list[tuple[PlanStep, Standing]]:
    """Of each lane the one step that is its turn, and where its service stands."""
    leg = present_leg(plan)
    heads: dict[tuple[str, str], tuple[PlanStep, Standing]] = {}
    for step in plan.steps:
        if step.leg != leg or step.status in SETTLED:
            continue
        known = heads.get(step.lane)
        if known is None or _passes(plan, known):
            heads[step.lane] = (step, standing(state, step, now_ms)[0])
    return list(heads.values())


def _passes(plan: Plan, head: tuple[PlanStep, Standing]) -> bool:
    """Whether those behind a head go on without it: in a failover, when it is not on its way."""
    step, where = head
    stays = where is Standing.STUCK or (where is Standing.FREE and tried_out(step))
    return plan.kind is PlanKind.FAILOVER and stays


def _is_rested(state: State, step: PlanStep, now_ms: int) -> bool:
    memory, service = state.plan_memory, state.services[step.service_uid]
    if step.leg > 1 and step.tries == 0:
        # Moved a moment ago: it is looked at, and brought back once its new backup may take over.
        moved_ms = memory.tried_ms.get(replace(step, leg=step.leg - 1).key, memory.taken_ms)
        protected = service.record.phase is Phase.PROTECTED
        return now_ms - moved_ms >= (LOOK_AT_LEAST_MS if protected else LOOK_AT_MOST_MS)
    return now_ms - memory.tried_ms.get(step.key, memory.taken_ms) >= pause_ms(step)


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
    return _tried(state, step, now_ms), replace(plan, steps=steps), rest


def _tried(state: State, step: PlanStep, now_ms: int) -> State:
    memory = state.plan_memory
    tried_ms = {**memory.tried_ms, step.key: now_ms}
    return replace(state, plan_memory=replace(memory, tried_ms=tried_ms))


def _forget(state: State, uid: str) -> State:
    """What one takeover cost is not counted for another one."""
    memory = state.plan_memory
    outages = {key: value for key, value in memory.outage_ms.items() if key != uid}
    losses = {key: value for key, value in memory.loss_bytes.items() if key != uid}
    return replace(state, plan_memory=replace(memory, outage_ms=outages, loss_bytes=losses))


def _summed(state: State, plan: Plan, now_ms: int, not_now: str) -> Plan:
    """Where the plan stands as a whole."""
    if present_leg(plan) == 0:
        return _over(state, plan)
    if plan.status is PlanStatus.PAUSED:
        return plan
    if not_now:
        return replace(plan, status=PlanStatus.WAITING, because=not_now)
    stuck = []
    for step, where in _heads(state, plan, now_ms):
        if where is Standing.ON_ITS_WAY or (where is Standing.FREE and not tried_out(step)):
            return replace(plan, status=PlanStatus.RUNNING, because="")
        because = standing(state, step, now_ms)[1]
        stuck.append(f"{step.service}: {step.because if where is Standing.FREE else because}")
    behind = sum(1 for step in plan.steps if step.status not in SETTLED) - len(stuck)
    more = f" ({behind} more wait behind)" if behind > 0 else ""
    text = (
        f"{' | '.join(stuck)}{more}; `saling plan resume` asks again, `saling plan end` gives the "
        "rest up"
    )
    return replace(plan, status=PlanStatus.WAITING, because=text)


def _over(state: State, plan: Plan) -> Plan:
    """All steps are settled; what was moved may have been failed over again since."""
    left = [step.service for step in plan.steps if step.status is StepStatus.LEFT_OUT]
    moved = sum(1 for step in plan.steps if step.status is StepStatus.DONE)
    told = [f"left out: {', '.join(dict.fromkeys(left))}"] if left else []
    told += [
        f"{step.service} is at {state.services[step.service_uid].record.primary} again: "
        f"{state.services[step.service_uid].record.because}"
        for step in plan.steps
        if _went_back(state, plan, step)
    ]
    if told:
        text = f"{moved} of {len(plan.steps)} steps are done; {'; '.join(told)}"
        return replace(plan, status=PlanStatus.ENDED, because=text)
    text = "every service serves where it shall be"
    return replace(plan, status=PlanStatus.DONE, because=text)


def _went_back(state: State, plan: Plan, step: PlanStep) -> bool:
    """Whether a step that was done last of its service is undone."""
    last = max(one.leg for one in plan.steps if one.service_uid == step.service_uid)
    service = state.services.get(step.service_uid)
    done = step.status is StepStatus.DONE and step.leg == last
    return done and service is not None and service.record.primary != step.to_agent


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
