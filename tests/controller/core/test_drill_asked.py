"""When a drill is refused: it must be able to leave, and to return."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from controller.core.plan_model import PlanKind
from controller.core.site_model import Caution, Nation, SiteSpec, SiteState, Stage
from tests.controller.core.given import B
from tests.controller.core.plan_world import PlanWorld, service


def test_a_drill_that_could_move_nothing_now_is_refused_and_leaves_the_place_free() -> None:
    world = PlanWorld([service("paspor")])
    world.lost.add(B)
    world.run(5000)
    answer = world.ask(PlanKind.DRILL)
    assert not answer.accepted
    assert [one.split(":")[0] for one in answer.unmet] == ["paspor"]
    assert world.state.plan is None


@pytest.mark.parametrize("stage", [Stage.SUSPENDED, Stage.RETIRED, Stage.PLANNED])
def test_no_drill_leaves_a_site_to_which_it_could_not_return(stage: Stage) -> None:
    world = PlanWorld([service("paspor")])
    here = SiteState(SiteSpec("jabodetabek", stage))
    world.state = replace(world.state, nation=Nation(sites={"jabodetabek": here}))
    answer = world.ask(PlanKind.DRILL, despite_caution=True)
    assert not answer.accepted
    assert f"jabodetabek is {stage.value}" in answer.unmet[0]
    assert "saling evacuate jabodetabek" in answer.unmet[0]


def test_a_drill_of_a_site_under_caution_asks_a_person_for_it_returns_there() -> None:
    world = PlanWorld([service("paspor")])
    caution = Caution("jabodetabek", "bmkg:1", "BMKG", "earthquake of M 6.2", 1, 2, until_ms=2**60)
    world.state = replace(world.state, nation=Nation(cautions=(caution,)))
    answer = world.ask(PlanKind.DRILL)
    assert not answer.accepted
    assert "caution at jabodetabek" in answer.unmet[0]
    assert "--despite-caution" in answer.unmet[0]
    assert world.ask(PlanKind.EVACUATE, dry_run=True).accepted
    assert world.ask(PlanKind.DRILL, despite_caution=True).accepted
