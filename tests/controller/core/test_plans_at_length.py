"""What is asked of another plan, or only tried, and what is on its way for too long."""

from __future__ import annotations

from controller.core.events import PlanAct, PlanAsked
from controller.core.model import Phase
from controller.core.plan_model import PlanKind, PlanStatus
from tests.controller.core.given import A, B
from tests.controller.core.plan_world import SUPER_APP, PlanWorld, group_of, service


def test_what_is_asked_of_another_plan_is_a_conflict_and_what_is_tried_changes_nothing() -> None:
    world = PlanWorld(group_of(*SUPER_APP))
    world.ask(PlanKind.EVACUATE)
    world.run(200)
    before = world.state.plan
    other = world.answer(PlanAsked("q", PlanAct.END, "siti", plan_id="evacuate-batam-7"))
    assert other.conflict and not other.accepted
    assert other.text == "the plan under way is evacuate-jabodetabek-1, not evacuate-batam-7"
    tried = world.answer(PlanAsked("q", PlanAct.END, "siti", dry_run=True))
    assert tried.accepted
    assert tried.text == "evacuate-jabodetabek-1 is ended, if it is asked for"
    assert world.state.plan == before


def test_what_is_on_its_way_for_two_minutes_is_waited_for_visibly() -> None:
    world = PlanWorld([service("paspor")])
    world.ask(PlanKind.EVACUATE)
    while world.store["paspor"].phase is not Phase.PROMOTING:
        world.turn()
    world.lost.update((A, B))
    plan = world.finish()
    assert plan.status is PlanStatus.WAITING
    assert "paspor: in PROMOTING for 120 s and more: " in plan.because
