"""Plans: who is moved, in which order, how it is asked for, and what a plan waits for."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from controller.core.events import Kind, PlanAct, Tick
from controller.core.model import HeldFor, Hold, Phase
from controller.core.plan_model import MoveRules, PlanKind, PlanStatus, StepStatus
from controller.core.plans.going import ASKED_AT_MOST
from controller.core.plans.judging import TRIES_AT_MOST
from controller.core.site_model import Caution, Health, Load, Nation, SiteSpec, SiteState, Stage
from tests.controller.core.given import A, B
from tests.controller.core.plan_world import (
    SUPER_APP,
    PlanWorld,
    group_of,
    order_of,
    service,
    statuses,
)


def test_an_evacuation_moves_all_and_loses_nothing() -> None:
    world = PlanWorld([service("paspor"), service("pajak")])
    answer = world.ask(PlanKind.EVACUATE)
    assert answer.accepted
    assert answer.operation_id == "evacuate-jabodetabek-1"
    plan = world.finish()
    assert plan.status is PlanStatus.DONE
    assert world.primaries() == {"paspor": B, "pajak": B}
    assert all(step.loss_bytes == 0 and step.outage_ms > 0 for step in plan.steps)
    assert [kind for _name, kind in world.asked] == ["switchover", "switchover"]


def test_a_group_moves_in_order_and_each_waits_for_the_one_before_to_serve() -> None:
    world = PlanWorld(group_of(*reversed(SUPER_APP)))
    world.ask(PlanKind.EVACUATE)
    while world.plan.status is PlanStatus.RUNNING:
        world.turn()
        moving = [step for step in world.plan.steps if step.status is StepStatus.MOVING]
        assert len(moving) <= 1
    assert order_of(world) == list(reversed(SUPER_APP))
    assert world.plan.status is PlanStatus.DONE


def test_groups_move_in_parallel_within_the_limit() -> None:
    world = PlanWorld([service(f"s{number}") for number in range(5)])
    world.ask(PlanKind.EVACUATE, at_once=2)
    most = 0
    while world.plan.status is PlanStatus.RUNNING:
        world.turn()
        most = max(most, list(statuses(world).values()).count("moving"))
    assert most == 2
    assert len(world.asked) == 5


def test_what_matters_most_moves_first() -> None:
    tiers = {"rendah": "a", "tinggi": "b", "strategis": "c"}
    world = PlanWorld([service(name, tier=tier) for tier, name in tiers.items()])
    world.ask(PlanKind.EVACUATE, at_once=1)
    world.finish()
    assert order_of(world) == ["c", "b", "a"]


def test_a_group_stands_where_its_most_important_service_does() -> None:
    grouped = [
        service("db", group="app", order=1),
        service("front", group="app", order=2, tier="strategis"),
    ]
    world = PlanWorld([service("other", tier="tinggi"), *grouped])
    world.ask(PlanKind.EVACUATE, at_once=1)
    world.finish()
    assert order_of(world) == ["db", "front", "other"]


def test_a_begun_group_goes_on_before_another_one_begins() -> None:
    world = PlanWorld([*group_of("z1", "z2"), *group_of("a1", "a2", group="zz")])
    world.ask(PlanKind.EVACUATE, at_once=1)
    world.finish()
    assert order_of(world) == ["z1", "z2", "a1", "a2"]


def test_another_plan_meanwhile_is_a_conflict_that_names_the_first() -> None:
    world = PlanWorld([service("paspor")])
    first = world.ask(PlanKind.EVACUATE).operation_id
    answer = world.ask(PlanKind.FAILBACK, "batam")
    assert not answer.accepted
    assert answer.conflict
    assert first in answer.text
    assert "saling plan end" in answer.unmet[0]


def test_a_paused_plan_tells_who_asks_for_another_how_it_goes_on() -> None:
    world = PlanWorld([service("paspor")])
    world.ask(PlanKind.EVACUATE)
    world.act(PlanAct.PAUSE)
    (mend,) = world.ask(PlanKind.EVACUATE).unmet
    assert "saling plan resume" in mend


def test_nothing_to_move_is_no_plan_and_no_refusal() -> None:
    world = PlanWorld([service("paspor")])
    answer = world.ask(PlanKind.EVACUATE, "batam")
    assert answer.accepted
    assert answer.operation_id == ""
    assert world.plans == {}


def test_a_dry_run_changes_nothing() -> None:
    world = PlanWorld([service("paspor")])
    before = world.state
    answer = world.ask(PlanKind.EVACUATE, dry_run=True)
    assert answer.accepted
    assert world.state == before
    assert world.plans == {}


def test_a_service_without_another_site_is_left_out_with_its_group_after_it() -> None:
    first, second, third = group_of(*SUPER_APP)
    here = replace(second.replicas[1], site="jabodetabek")
    world = PlanWorld([first, replace(second, replicas=(second.replicas[0], here)), third])
    world.ask(PlanKind.EVACUATE)
    plan = world.finish()
    assert plan.status is PlanStatus.ENDED
    assert statuses(world) == {"database 1": "done", "cache 1": "left out", "front 1": "left out"}
    assert "stands at jabodetabek, too" in plan.steps[1].because
    assert "cache, which comes before it" in plan.steps[2].because
    assert "left out: cache, front" in plan.because


def test_a_service_on_hold_is_left_out() -> None:
    world = PlanWorld([service("paspor"), service("pajak")])
    held = world.store["paspor"]
    world.store["paspor"] = replace(held, hold=Hold("siti", "files are odd", "service", 600_000))
    world.restart()
    world.run(3000)
    world.ask(PlanKind.EVACUATE)
    plan = world.finish()
    assert statuses(world) == {"paspor 1": "left out", "pajak 1": "done"}
    assert "saling release paspor" in next(s.because for s in plan.steps if s.service == "paspor")


@pytest.mark.parametrize("stage", [Stage.SUSPENDED, Stage.RETIRED, Stage.PLANNED])
def test_nobody_is_moved_to_a_site_that_is_not_active(stage: Stage) -> None:
    world = PlanWorld([service("paspor")])
    batam = SiteState(SiteSpec("batam", stage))
    world.state = replace(world.state, nation=Nation(sites={"batam": batam}))
    answer = world.ask(PlanKind.EVACUATE)
    assert not answer.accepted
    assert f"stands at batam, which is {stage.value}" in answer.unmet[0]


def test_a_plan_that_could_move_nothing_now_is_refused_with_what_is_unmet() -> None:
    world = PlanWorld([service("paspor")])
    world.lost.add(B)
    world.run(5000)
    answer = world.ask(PlanKind.EVACUATE)
    assert not answer.accepted
    assert not answer.conflict
    assert answer.unmet[0].startswith("paspor: ")


def test_a_refused_step_is_asked_for_again_and_the_rest_goes_on() -> None:
    world = PlanWorld([service("paspor"), service("pajak")])
    backup = next(x for x in world.agents if x.agent == B and x.told.service == "paspor")
    backup.told = replace(backup.told, unfit="another collation")
    world.run(5000)
    world.ask(PlanKind.EVACUATE)
    plan = world.finish()
    assert plan.status is PlanStatus.WAITING
    assert statuses(world) == {"paspor 1": "to do", "pajak 1": "done"}
    stuck = next(step for step in plan.steps if step.service == "paspor")
    assert stuck.tries == TRIES_AT_MOST
    assert "paspor: " in plan.because
    assert "saling plan resume" in plan.because
    backup.told = replace(backup.told, unfit="")
    world.run(10_000)
    assert world.act(PlanAct.RESUME).accepted
    assert world.finish().status is PlanStatus.DONE


def test_a_paused_plan_asks_for_nothing_and_goes_on_when_it_is_resumed() -> None:
    world = PlanWorld(group_of(*SUPER_APP))
    world.ask(PlanKind.EVACUATE)
    world.run(200)
    assert world.act(PlanAct.PAUSE).accepted
    world.run(30_000)
    assert order_of(world) == ["database"]
    assert statuses(world)["database 1"] == "done"
    assert world.plan.status is PlanStatus.PAUSED
    assert "paused by siti: so" in world.plan.because
    world.act(PlanAct.RESUME)
    assert world.finish().status is PlanStatus.DONE


def test_an_ended_plan_leaves_what_was_not_begun() -> None:
    world = PlanWorld(group_of(*SUPER_APP))
    world.ask(PlanKind.EVACUATE)
    world.run(200)
    assert world.act(PlanAct.END).accepted
    assert world.state.plan is None
    world.run(30_000)
    assert world.plan.status is PlanStatus.ENDED
    assert world.primaries() == {"database": B, "cache": A, "front": A}
    assert world.ask(PlanKind.EVACUATE).operation_id == "evacuate-jabodetabek-2"


def test_what_is_asked_of_a_plan_where_there_is_none_is_a_conflict() -> None:
    world = PlanWorld([service("paspor")])
    for act in (PlanAct.PAUSE, PlanAct.RESUME, PlanAct.END):
        answer = world.act(act)
        assert not answer.accepted and answer.conflict
        assert answer.text.startswith(f"there is no plan under way to {act.value}")
        assert "saling plan list" in answer.unmet[0]


def test_an_automatic_failover_meanwhile_is_the_step() -> None:
    world = PlanWorld(group_of(*SUPER_APP))
    world.ask(PlanKind.EVACUATE)
    world.run(200)
    world.lost.add(A)
    plan = world.finish()
    assert world.primaries() == dict.fromkeys(SUPER_APP, B)
    assert plan.status is PlanStatus.DONE
    assert world.asked == [("database", "switchover")]


def test_a_failover_asks_for_a_failover_where_the_primary_is_silent() -> None:
    world = PlanWorld([service("paspor")])
    world.request(Kind.PAUSE, "paspor")
    world.lost.add(A)
    world.run(5000)
    assert world.primaries() == {"paspor": A}
    assert world.ask(PlanKind.FAILOVER).accepted
    assert world.finish().status is PlanStatus.DONE
    assert world.asked == [("paspor", "failover")]


def test_an_evacuation_never_asks_for_a_failover() -> None:
    world = PlanWorld([service("paspor"), service("pajak")])
    world.request(Kind.PAUSE, "paspor")
    world.request(Kind.PAUSE, "pajak")
    world.ask(PlanKind.EVACUATE, at_once=1)
    world.run(200)
    world.lost.add(A)
    plan = world.finish()
    assert plan.status is PlanStatus.WAITING
    assert "failover" not in [kind for _name, kind in world.asked]


def test_the_partner_s_failure_in_the_middle_ends_in_a_wait_with_reasons() -> None:
    world = PlanWorld(group_of(*SUPER_APP))
    world.ask(PlanKind.EVACUATE)
    while "done" not in statuses(world).values():
        world.turn()
    world.lost.add(B)
    plan = world.finish()
    assert plan.status is PlanStatus.WAITING
    assert B in plan.because
    world.lost.clear()
    world.run(60_000)
    world.act(PlanAct.RESUME)
    assert world.finish().status is PlanStatus.DONE


def test_a_held_service_is_waited_for_visibly_and_its_release_ends_the_wait() -> None:
    world = PlanWorld([service("paspor")])
    world.ask(PlanKind.FAILOVER)
    held = replace(
        world.store["paspor"], phase=Phase.HELD, held_for=HeldFor.LOSS, revision=99,
        because="held: a failover loses too much",
    )  # fmt: skip
    world.store["paspor"] = held
    world.restart()
    world.lost.update((A, B))
    world.turn()
    assert world.plan.status is PlanStatus.WAITING
    assert "paspor: held: a failover loses too much" in world.plan.because


def test_in_a_failover_those_behind_a_held_one_go_on() -> None:
    world = PlanWorld(group_of("database", "front"))
    world.lost.add(A)
    held = replace(
        world.store["database"], phase=Phase.HELD, held_for=HeldFor.RESTORED, revision=99
    )
    world.store["database"] = held
    world.request(Kind.PAUSE, "front")
    world.restart()
    world.run(8000)
    world.ask(PlanKind.FAILOVER)
    world.finish()
    assert world.primaries() == {"database": A, "front": B}


def test_a_failback_brings_back_those_that_prefer_the_site() -> None:
    world = PlanWorld([service("paspor"), service("pajak")])
    world.ask(PlanKind.EVACUATE)
    world.finish()
    world.run(20_000)
    refused = world.ask(PlanKind.FAILBACK)
    assert not refused.accepted
    assert "jabodetabek was left less than 30 min ago" in refused.unmet[0]
    assert "--now" in refused.unmet[0]
    assert world.ask(PlanKind.FAILBACK, now=True).accepted
    assert world.finish().status is PlanStatus.DONE
    assert world.primaries() == {"paspor": A, "pajak": A}


def test_a_failback_needs_no_now_after_the_dwell_time() -> None:
    world = PlanWorld([service("paspor")])
    world.state = replace(world.state, move_rules=MoveRules(dwell_ms=60_000))
    world.ask(PlanKind.EVACUATE)
    world.finish()
    world.run(61_000)
    assert world.ask(PlanKind.FAILBACK).accepted


def test_nobody_goes_back_to_a_site_that_is_ill() -> None:
    world = PlanWorld([service("paspor")])
    world.ask(PlanKind.EVACUATE)
    world.finish()
    world.run(20_000)
    ill = SiteState(SiteSpec("jabodetabek"), Health.DEGRADED, "its disk fills")
    rules = MoveRules(dwell_ms=0)
    world.state = replace(world.state, nation=Nation(sites={"jabodetabek": ill}), move_rules=rules)
    refused = world.ask(PlanKind.FAILBACK)
    assert "jabodetabek is degraded, its disk fills" in refused.unmet[0]
    assert world.ask(PlanKind.FAILBACK, now=True).accepted


def test_a_plan_to_a_site_under_caution_asks_a_person_and_a_failover_does_not() -> None:
    world = PlanWorld([service("paspor")])
    caution = Caution("batam", "bmkg:1", "BMKG", "earthquake of M 6.2", 1, 2, until_ms=2**60)
    world.state = replace(world.state, nation=Nation(cautions=(caution,)))
    answer = world.ask(PlanKind.EVACUATE, dry_run=True)
    assert not answer.accepted
    assert "earthquake of M 6.2" in answer.unmet[0]
    assert "--despite-caution" in answer.unmet[0]
    assert world.ask(PlanKind.FAILOVER, dry_run=True).accepted
    assert world.ask(PlanKind.EVACUATE, despite_caution=True).accepted
    assert world.finish().status is PlanStatus.DONE


def test_what_matters_most_takes_the_room_and_the_rest_is_left_out_with_its_group() -> None:
    load = Load(vcpu=4)
    specs = [
        service("low", tier="rendah", demand=load),
        service("db", tier="strategis", group="app", order=1, demand=load),
        service("front", tier="rendah", group="app", order=2, demand=Load(vcpu=8)),
        service("tail", tier="rendah", group="app", order=3),
    ]
    world = PlanWorld(specs)
    batam = SiteState(SiteSpec("batam", capacity=Load(vcpu=10)))
    world.state = replace(world.state, nation=Nation(sites={"batam": batam}))
    assert world.ask(PlanKind.EVACUATE).accepted
    plan = world.finish()
    assert statuses(world) == {
        "db 1": "done", "front 1": "left out", "tail 1": "left out", "low 1": "done",
    }  # fmt: skip
    assert "batam has no room for it then (vcpu)" in plan.steps[1].because
    assert "front, which comes before it" in plan.steps[2].because


def test_what_a_plan_asks_for_is_noted_as_the_plans_whatever_a_persons_reason_looks_like() -> None:
    world = PlanWorld([service("paspor"), service("pajak")])
    world.request(Kind.SWITCHOVER, "pajak", reason="evacuate-jabodetabek-1: by hand")
    by_hand = world.store["pajak"].operation
    assert by_hand is not None and by_hand.plan == ""
    world.ask(PlanKind.EVACUATE)
    world.turn()
    of_plan = world.store["paspor"].operation
    assert of_plan is not None and of_plan.plan == "evacuate-jabodetabek-1"


def test_of_many_that_may_move_at_once_a_few_are_asked_for_in_one_tick_and_soon_all_are() -> None:
    world = PlanWorld([service(f"s{number:02}") for number in range(20)])
    world.ask(PlanKind.EVACUATE, at_once=100)
    asked = []
    for _ in range(3):
        world.feed(Tick())
        asked.append(len(world.asked))
    assert asked == [ASKED_AT_MOST, 2 * ASKED_AT_MOST, 20]
