"""Where the steps of a plan stand, and the plan as a whole: by the records of its services.

Here nothing is asked for; `going` asks for the steps whose turn it is.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from controller.core.model import HeldFor, Phase, State
from controller.core.plan_model import SETTLED, Plan, PlanKind, PlanStatus, PlanStep, StepStatus
from controller.core.plans.held import held_lanes
from controller.core.plans.standing import Standing, standing

TRIES_AT_MOST = 12
RESTORED = (HeldFor.RESTORED, HeldFor.ADOPTION)


def judge_steps(state: State, plan: Plan, now_ms: int) -> tuple[State, Plan]:
    """Look where each step of the present leg stands; what was moved or given up is noted."""
    leg, steps = present_leg(plan), []
    for step in plan.steps:
        judged = step
        if step.leg == leg and step.status not in SETTLED:
            state, judged = _judge(state, plan, step, now_ms)
        steps.append(judged)
    return state, replace(plan, steps=stay_behind(plan, steps))


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
        return note_try(state, step, now_ms), given_up
    if where is Standing.ON_ITS_WAY and step.status is StepStatus.TO_DO:
        return state, replace(step, status=StepStatus.MOVING, because=because)
    if plan.kind is PlanKind.DRILL and step.leg == 1 and where is Standing.FREE and tried_out(step):
        # What a drill cannot move stays where it serves; the others are to be brought back.
        why = f"could not be moved: {step.because}"
        return state, replace(step, status=StepStatus.LEFT_OUT, because=why)
    return state, step


def tried_out(step: PlanStep) -> bool:
    """Whether it was asked for often enough."""
    return step.tries >= TRIES_AT_MOST


def present_leg(plan: Plan) -> int:
    """The leg whose steps are moved now; 0 when all are settled."""
    return min((step.leg for step in plan.steps if step.status not in SETTLED), default=0)


def lane_heads(state: State, plan: Plan, now_ms: int) -> list[tuple[PlanStep, Standing]]:
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


def stay_behind(plan: Plan, steps: Iterable[PlanStep]) -> tuple[PlanStep, ...]:
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


def paused_where_restored(state: State, plan: Plan) -> Plan:
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


def summed(state: State, plan: Plan, now_ms: int, not_now: str) -> Plan:
    """Where the plan stands as a whole."""
    if present_leg(plan) == 0:
        return _over(state, plan)
    if plan.status is PlanStatus.PAUSED:
        return plan
    if not_now:
        return replace(plan, status=PlanStatus.WAITING, because=not_now)
    held = held_lanes(state, plan, present_leg(plan))
    stuck = []
    for step, where in lane_heads(state, plan, now_ms):
        if where is Standing.FREE and step.lane in held:
            why = f"{held[step.lane]}; it goes back by itself once that ends"
            stuck.append(f"{step.service}: {why}")
            continue
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


def note_try(state: State, step: PlanStep, now_ms: int) -> State:
    """Remember when the step was asked for, or given up, last."""
    memory = state.plan_memory
    tried_ms = {**memory.tried_ms, step.key: now_ms}
    return replace(state, plan_memory=replace(memory, tried_ms=tried_ms))


def _forget(state: State, uid: str) -> State:
    """What one takeover cost is not counted for another one."""
    memory = state.plan_memory
    outages = {key: value for key, value in memory.outage_ms.items() if key != uid}
    losses = {key: value for key, value in memory.loss_bytes.items() if key != uid}
    return replace(state, plan_memory=replace(memory, outage_ms=outages, loss_bytes=losses))
