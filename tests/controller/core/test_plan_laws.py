"""Laws of plans, over drawn sites, faults and crashes of the controller."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.events import Kind, PlanAct
from controller.core.plan_model import OVER, PlanKind, PlanStatus, StepStatus
from tests.controller.core.given import A, B
from tests.controller.core.plan_world import PlanWorld, service

NAMES = ("s1", "s2", "s3", "s4")
SLOW = settings(max_examples=15)


@dataclass(frozen=True)
class Fault:
    """Something that happens a while after the one before."""

    after_ms: int
    what: str


faults = st.lists(
    st.builds(
        Fault,
        st.integers(0, 80).map(lambda tenths: tenths * 100),
        st.sampled_from(["restart", "lose a", "lose b", "back", "pause", "resume", "stop s2"]),
    ),
    max_size=5,
)
groups = st.tuples(*[st.sampled_from(["", "g", "h"]) for _ in NAMES])


def a_world(chosen: tuple[str, ...]) -> PlanWorld:
    named = zip(NAMES, chosen, strict=True)
    return PlanWorld([service(name, group=group, order=n) for n, (name, group) in enumerate(named)])


def suffer(world: PlanWorld, fault: Fault) -> None:
    world.run(fault.after_ms)
    match fault.what:
        case "restart":
            world.restart()
        case "lose a":
            world.lost.add(A)
        case "lose b":
            world.lost.add(B)
        case "back":
            world.lost.clear()
        case "pause":
            world.act(PlanAct.PAUSE)
        case "resume":
            world.act(PlanAct.RESUME)
        case "stop s2":
            world.request(Kind.PAUSE, "s2")


@SLOW
@given(groups, faults, st.sampled_from([PlanKind.EVACUATE, PlanKind.FAILOVER, PlanKind.DRILL]))
def test_whatever_happens_a_plan_ends_or_waits_with_a_reason(
    chosen: tuple[str, ...], suffered: list[Fault], kind: PlanKind
) -> None:
    world = a_world(chosen)
    world.ask(kind)
    for fault in suffered:
        suffer(world, fault)
    if world.plan.status is PlanStatus.PAUSED:
        world.act(PlanAct.RESUME)
    plan = world.finish()
    assert plan.because
    unsettled = [s for s in plan.steps if s.status in (StepStatus.TO_DO, StepStatus.MOVING)]
    assert bool(unsettled) == (plan.status not in OVER)


@SLOW
@given(groups, faults)
def test_two_services_of_a_group_are_never_moved_by_a_plan_at_once(
    chosen: tuple[str, ...], suffered: list[Fault]
) -> None:
    world = a_world(chosen)
    world.ask(PlanKind.EVACUATE)
    for fault in suffered:
        suffer(world, fault)
    begun: set[str] = set()
    for save in world.saved:
        for step in save.plan.steps:
            earlier = [s for s in save.plan.steps if s.lane == step.lane and s.order < step.order]
            if step.tries and step.service not in begun:
                begun.add(step.service)
                assert all(one.status is StepStatus.DONE for one in earlier)


@SLOW
@given(groups, st.lists(st.integers(0, 60), max_size=6))
def test_however_often_the_controller_dies_the_end_is_the_same_and_nothing_is_done_twice(
    chosen: tuple[str, ...], crashes: list[int]
) -> None:
    world = a_world(chosen)
    world.ask(PlanKind.EVACUATE)
    for after in crashes:
        world.run(after * 100)
        world.restart()
    assert world.finish().status is PlanStatus.DONE
    assert world.primaries() == dict.fromkeys(NAMES, B)
    assert sorted(name for name, _kind in world.asked) == list(NAMES)
