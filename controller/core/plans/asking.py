"""What an operator asks of plans: to begin one, to pause, resume or end the one under way."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from controller.core.actions import Action, Answer, SavePlan
from controller.core.events import PlanAct, PlanAsked
from controller.core.gates.maintenance import span
from controller.core.model import State
from controller.core.moment.others import Others, site_of
from controller.core.moment.view import View
from controller.core.plan_model import (
    AWAY,
    SETTLED,
    Plan,
    PlanKind,
    PlanMemory,
    PlanStatus,
    PlanStep,
    StepStatus,
)
from controller.core.plans.going import (
    Ask,
    plan_change,
    refused_because,
    request_for,
    step_change,
    taken,
)
from controller.core.plans.making import plan_steps
from controller.core.plans.standing import Standing, standing
from controller.core.site_model import Health, Stage
from controller.core.sites.cautions import at, sentence

NOT_A_HOME = (Health.DEGRADED, Health.CUT_OFF, Health.DOWN)
"""No service is brought back to a site that is so."""


def on_plan_asked(
    state: State, event: PlanAsked, now_ms: int, ask: Ask
) -> tuple[State, list[Action]]:
    """Do it, or say why not."""
    if event.act is PlanAct.BEGIN:
        return _begin(state, event, now_ms, ask)
    plan = state.plan
    if plan is None:
        named = f": {event.plan_id} is over, or never was" if event.plan_id else ""
        text = f"there is no plan under way to {event.act.value}{named}"
        mend = "`saling plan show --last` shows the last one, `saling plan list` those before"
        return state, [Answer(event.id, False, text, (mend,), conflict=True)]
    if event.plan_id and event.plan_id != plan.id:
        text = f"the plan under way is {plan.id}, not {event.plan_id}"
        return state, [Answer(event.id, False, text, ("name that one, or none",), conflict=True)]
    match event.act:
        case PlanAct.PAUSE:
            return _pause(state, plan, event, now_ms)
        case PlanAct.RESUME:
            return _resume(state, plan, event, now_ms)
    return _end(state, plan, event, now_ms)


def make_plan(state: State, event: PlanAsked, chosen: Mapping[str, str] | None = None) -> Plan:
    """The plan that this asks for, not stored yet; by policy where it is said who is chosen, by
    uid, with what is against moving each."""
    number = state.plan_memory.made + 1
    return Plan(
        id=f"{event.kind.value}-{event.site}-{number}",
        kind=event.kind,
        site=event.site,
        by=event.by,
        reason=event.reason,
        steps=plan_steps(state, event, chosen),
        at_once=event.at_once or state.move_rules.at_once,
        begun_at_ms=event.at_ms,
        number=number,
        by_policy=chosen is not None,
        despite_caution=event.despite_caution,
        over_capacity=event.over_capacity,
    )


def begin_plan(state: State, plan: Plan, now_ms: int) -> tuple[State, SavePlan]:
    """Store it; its first steps are asked for at the next tick."""
    past = state.plan_memory.past
    state = replace(state, plan_memory=PlanMemory(plan.number, past, taken_ms=now_ms))
    to_do = sum(1 for step in plan.steps if step.status is StepStatus.TO_DO)
    text = f"{plan.kind.value} of {plan.site} begins: {to_do} of {len(plan.steps)} steps to do"
    first = plan_change(plan, text, plan.by, plan.reason)
    left = [step_change(plan, step) for step in plan.steps if step.status is StepStatus.LEFT_OUT]
    return taken(state, plan, now_ms), SavePlan(plan, 0, (first, *left))


def _begin(state: State, event: PlanAsked, now_ms: int, ask: Ask) -> tuple[State, list[Action]]:
    under_way = state.plan
    if under_way is not None:
        text = f"one plan at a time: {under_way.id} by {under_way.by} is {under_way.status.value}"
        goes_on = under_way.status is not PlanStatus.PAUSED
        over = "wait until it is over" if goes_on else "let it go on: `saling plan resume`"
        mend = f"{over} (`saling plan show`), or give the rest up: `saling plan end`"
        return state, [Answer(event.id, False, text, (mend,), under_way.id, conflict=True)]
    plan = make_plan(state, event)
    if not plan.steps:
        return state, [Answer(event.id, True, _nothing_to_move(event))]
    unmet = (
        *_too_soon(state, event, now_ms),
        *_no_way_back(state, plan),
        *_careful(state, plan, now_ms),
        *all_refused(state, plan, now_ms, ask),
    )
    what = f"{event.kind.value} of {event.site}"
    if unmet:
        return state, [Answer(event.id, False, f"{what} is refused", unmet)]
    text = f"{what}: {_counted(plan)}"
    if event.dry_run:
        return state, [Answer(event.id, True, text)]
    state, save = begin_plan(state, plan, now_ms)
    return state, [save, Answer(event.id, True, text, (), plan.id)]


def _nothing_to_move(event: PlanAsked) -> str:
    if event.kind is PlanKind.FAILBACK:
        return f"nothing is to be done: every service that prefers {event.site} is there"
    return f"nothing is to be done: no service has its primary at {event.site}"


def _counted(plan: Plan) -> str:
    to_do = sum(1 for step in plan.steps if step.status is StepStatus.TO_DO and step.leg == 1)
    left = sum(1 for step in plan.steps if step.status is StepStatus.LEFT_OUT)
    services = "1 service is" if to_do == 1 else f"{to_do} services are"
    return f"{services} moved" + (f", {left} left out" if left else "")


def _too_soon(state: State, event: PlanAsked, now_ms: int) -> tuple[str, ...]:
    """Why services do not go back to the site yet."""
    if event.kind is not PlanKind.FAILBACK or event.now:
        return ()
    unmet = []
    left_ms = dwell_left_ms(state, event.site, now_ms)
    if left_ms > 0:
        unmet.append(
            f"{event.site} was left less than {span(state.move_rules.dwell_ms)} ago: wait "
            f"{span(left_ms)}, or give --now"
        )
    site = state.nation.sites.get(event.site)
    if site is not None and site.health in NOT_A_HOME:
        unmet.append(
            f"{event.site} is {site.health.value}, {site.because}: mend that, or give --now"
        )
    return tuple(unmet)


def _no_way_back(state: State, plan: Plan) -> tuple[str, ...]:
    """Why a drill could not bring back what it moves away."""
    site = state.nation.sites.get(plan.site)
    if plan.kind is not PlanKind.DRILL or site is None or site.spec.stage is Stage.ACTIVE:
        return ()
    return (
        f"{plan.site} is {site.spec.stage.value}, so nothing could be brought back to it: declare "
        f"it active again, or move all away for good: `saling evacuate {plan.site}`",
    )


def _careful(state: State, plan: Plan, now_ms: int) -> tuple[str, ...]:
    """The cautions at the sites that the plan would move to, in a drill there and back. A failover
    waits for none."""
    if plan.despite_caution or plan.kind is PlanKind.FAILOVER:
        return ()
    targets = dict.fromkeys(
        site_of(state.services[step.service_uid], step.to_agent)
        for step in plan.steps
        if step.status is StepStatus.TO_DO
    )
    told = [sentence(one, now_ms) for site in targets for one in at(state.nation, site)]
    return tuple(f"{text}; --despite-caution moves all the same" for text in told)


def dwell_left_ms(state: State, site: str, now_ms: int) -> int:
    """How long a site that was left by a plan is still not gone back to by itself."""
    ends = [
        moved.ended_ms + state.move_rules.dwell_ms
        for moved in state.plan_memory.past
        if moved.site == site and moved.kind in AWAY
    ]
    return max(0, max(ends, default=0) - now_ms)


def all_refused(state: State, plan: Plan, now_ms: int, ask: Ask) -> tuple[str, ...]:
    """Why nothing at all could be moved now; empty where something could. In a failover that a
    person asks for the rules may be about to move what nobody hears, so it is not asked. A way
    back moves nothing by itself: where nobody leaves nobody returns."""
    told = []
    others = Others(state.services, state.nation, now_ms)
    unasked = plan.kind is PlanKind.FAILOVER and not plan.by_policy
    for step in (one for one in plan.steps if one.leg == 1):
        why = step.because
        if step.status is not StepStatus.LEFT_OUT:
            why = refusal_now(state, plan, step, others, ask)
        if not why or (unasked and step.status is StepStatus.TO_DO):
            return ()
        told.append(f"{step.service}: {why}")
    return tuple(told)


def refusal_now(state: State, plan: Plan, step: PlanStep, others: Others, ask: Ask) -> str:
    """Why the rules would refuse this step at this moment; empty when they would not. Many are
    tried with the same look at all services, which a trial changes nothing of."""
    now_ms = others.now_ms
    if step.leg > 1 or standing(state, step, now_ms)[0] is Standing.ON_ITS_WAY:
        return ""
    view = View(state.services[step.service_uid], now_ms)
    trial = replace(request_for(plan, step, view), dry_run=True)
    answer = ask(state, trial, now_ms, others)[1][-1]
    assert isinstance(answer, Answer)
    return "" if answer.accepted else refused_because(answer)


def _pause(state: State, plan: Plan, event: PlanAsked, now_ms: int) -> tuple[State, list[Action]]:
    if plan.status is PlanStatus.PAUSED:
        return state, [Answer(event.id, True, f"{plan.id} is paused already", (), plan.id)]
    why = f"paused by {event.by}: {event.reason or 'no reason given'}"
    return _changed(state, replace(plan, status=PlanStatus.PAUSED, because=why), event, now_ms)


def _resume(state: State, plan: Plan, event: PlanAsked, now_ms: int) -> tuple[State, list[Action]]:
    """From a pause or a wait, with all tries anew."""
    if plan.status is PlanStatus.RUNNING:
        return state, [Answer(event.id, True, f"{plan.id} is running already", (), plan.id)]
    steps = tuple(s if s.status in SETTLED else replace(s, tries=0) for s in plan.steps)
    again = replace(plan, status=PlanStatus.RUNNING, because="", steps=steps)
    if not event.dry_run:
        state = replace(state, plan_memory=replace(state.plan_memory, taken_ms=now_ms))
    return _changed(state, again, event, now_ms)


def _end(state: State, plan: Plan, event: PlanAsked, now_ms: int) -> tuple[State, list[Action]]:
    """What is on its way goes on by itself, as an operation of its own."""
    steps = tuple(
        replace(step, status=StepStatus.LEFT_OUT, because="the plan was ended before")
        if step.status is StepStatus.TO_DO
        else step
        for step in plan.steps
    )
    why = f"ended by {event.by}: {event.reason or 'no reason given'}"
    return _changed(
        state, replace(plan, status=PlanStatus.ENDED, because=why, steps=steps), event, now_ms
    )


def _changed(state: State, plan: Plan, event: PlanAsked, now_ms: int) -> tuple[State, list[Action]]:
    expected = plan.revision
    plan = replace(plan, revision=expected + 1)
    text = f"{plan.id} is {plan.status.value}"
    if event.dry_run:
        return state, [Answer(event.id, True, f"{text}, if it is asked for", (), plan.id)]
    change = plan_change(plan, "", event.by, event.reason)
    save = SavePlan(plan, expected, (change,))
    return taken(state, plan, now_ms), [save, Answer(event.id, True, text, (), plan.id)]
