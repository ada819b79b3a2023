"""Plans over drills, lives of the controller, and other configurations."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from controller.core.events import Kind, PlanAct, PlanAsked
from controller.core.model import HeldFor, Phase
from controller.core.plan_model import PlanKind, PlanStatus
from tests.controller.core.given import A, B
from tests.controller.core.plan_world import (
    SUPER_APP,
    PlanWorld,
    group_of,
    order_of,
    service,
    statuses,
)


def test_a_drill_moves_all_away_and_brings_all_back() -> None:
    world = PlanWorld([*group_of(*SUPER_APP), service("paspor")])
    world.ask(PlanKind.DRILL)
    away = []
    while world.plan.status is PlanStatus.RUNNING:
        world.turn()
        away.append(sum(1 for primary in world.primaries().values() if primary == B))
    assert world.plan.status is PlanStatus.DONE
    assert max(away) == 4
    assert set(world.primaries().values()) == {A}
    assert all(step.outage_ms > 0 for step in world.plan.steps)


def test_a_drill_brings_back_what_it_moved_even_if_one_could_not_be_moved() -> None:
    world = PlanWorld([service("paspor"), service("pajak")])
    backup = next(x for x in world.agents if x.agent == B and x.told.service == "paspor")
    backup.told = replace(backup.told, unfit="another collation")
    world.run(5000)
    world.ask(PlanKind.DRILL)
    plan = world.finish()
    assert plan.status is PlanStatus.ENDED
    assert statuses(world)["pajak 2"] == "done"
    assert statuses(world)["paspor 1"] == statuses(world)["paspor 2"] == "left out"
    assert set(world.primaries().values()) == {A}


@pytest.mark.parametrize("after", range(12))
def test_a_controller_that_died_at_any_change_goes_on_to_the_same_end(after: int) -> None:
    world = PlanWorld(group_of(*SUPER_APP))
    world.dies_after = after
    wish = PlanAsked("q", PlanAct.BEGIN, "siti", "patches", PlanKind.EVACUATE, "jabodetabek")
    while not world.plans:
        world.feed(wish)
        world.turn()
    plan = world.finish()
    assert plan.status is PlanStatus.DONE
    assert world.primaries() == dict.fromkeys(SUPER_APP, B)
    assert sorted(order_of(world)) == sorted(SUPER_APP), "nothing was done twice"


def test_a_service_that_is_not_declared_any_more_is_left_out() -> None:
    world = PlanWorld([service("paspor"), service("pajak")])
    world.ask(PlanKind.EVACUATE)
    world.specs = [one for one in world.specs if one.name != "pajak"]
    world.agents = [one for one in world.agents if one.told.service != "pajak"]
    world.restart()
    plan = world.finish()
    assert plan.status is PlanStatus.ENDED
    assert statuses(world) == {"paspor 1": "done", "pajak 1": "left out"}


def test_what_was_failed_over_again_since_is_told_at_the_end() -> None:
    world = PlanWorld(group_of(*SUPER_APP))
    world.ask(PlanKind.EVACUATE)
    while statuses(world)["front 1"] != "moving":
        world.turn()
    world.run(2000)
    back = replace(
        world.store["database"], primary=A, backup=B, phase=Phase.PROTECTED, revision=99, epoch=9
    )
    world.store["database"] = back
    world.restart()
    plan = world.finish()
    assert plan.status is PlanStatus.ENDED
    assert f"3 of 3 steps are done; database is at {A} again: " in plan.because


def test_a_plan_that_an_older_store_brings_back_waits_for_a_person() -> None:
    world = PlanWorld([service("paspor"), service("pajak")])
    world.ask(PlanKind.EVACUATE, at_once=1)
    world.turn()
    world.turn()
    older = dict(world.store), dict(world.plans)
    world.finish()
    world.run(30_000)
    assert world.ask(PlanKind.FAILBACK, now=True).accepted
    world.finish()
    world.run(30_000)
    assert set(world.primaries().values()) == {A}
    world.store, world.plans = older
    world.restart()
    world.asked.clear()
    world.run(5000)
    assert {record.phase for record in world.store.values()} == {Phase.HELD}
    assert world.plan.status is PlanStatus.PAUSED
    assert "the store was restored" in world.plan.because
    for uid, record in world.store.items():
        assert world.request(Kind.APPROVE, uid, epoch=record.epoch).accepted
    world.run(60_000)
    assert world.asked == []
    assert set(world.primaries().values()) == {A}
    assert world.plan.status is PlanStatus.PAUSED
    assert world.act(PlanAct.RESUME).accepted
    assert world.finish().status is PlanStatus.DONE


def test_a_plan_that_is_resumed_while_its_services_are_held_goes_on() -> None:
    world = PlanWorld([service("paspor"), service("pajak")])
    world.ask(PlanKind.EVACUATE)
    held = replace(world.store["paspor"], phase=Phase.HELD, held_for=HeldFor.RESTORED, revision=99)
    world.store["paspor"] = held
    world.restart()
    world.turn()
    assert world.plan.status is PlanStatus.PAUSED
    assert world.act(PlanAct.RESUME).accepted
    world.run(30_000)
    assert world.primaries() == {"paspor": A, "pajak": B}
