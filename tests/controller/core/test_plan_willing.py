"""A plan by policy goes no further than what it would be made for now."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from controller.core.actions import SavePlan
from controller.core.events import Kind, PlanAct, PlanAsked, Tick
from controller.core.model import BY_ITSELF
from controller.core.plan_model import (
    Plan,
    PlanKind,
    PlanMemory,
    PlanStatus,
    StepStatus,
)
from controller.core.plans.asking import all_refused, make_plan
from controller.core.plans.policy import go_by_policy
from controller.core.plans.waiting import WAITS_AT_MOST_MS, given_up_in_time
from controller.core.site_model import (
    Caution,
    Consequence,
    Health,
    Nation,
    SiteSpec,
    SiteState,
)
from controller.core.sites.policy import commits
from controller.core.step import on_request
from tests.controller.core.plan_world import group_of, service
from tests.controller.core.site_world import RULES, Site
from tests.controller.core.test_plan_policy import away


@pytest.fixture(autouse=True)
def told_health(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sites are as a test says, not as they would be judged by their agents."""
    monkeypatch.setattr("controller.core.step.is_due", lambda _nation, _now_ms: False)


def begun(site: Site) -> Site:
    """The plan that is made now is under way in the world, which sees the site as it is told."""
    state, actions = go_by_policy(site.state, 0, site.world.now_ms, on_request)
    (save,) = [action for action in actions if isinstance(action, SavePlan)]
    site.world._store(save)
    site.world.state = state
    return site


def under_way(site: Site, plan: Plan) -> Site:
    """This plan is under way, whatever it was made for."""
    site.world._store(SavePlan(plan, 0, ()))
    site.world.state = replace(site.state, plan=plan)
    return site


def seen_as(site: Site, nation: Nation) -> None:
    site.nation = nation
    site.world.state = replace(site.world.state, nation=nation)


def left_out(plan: Plan) -> dict[str, str]:
    return {s.service: s.because for s in plan.steps if s.status is StepStatus.LEFT_OUT}


def test_a_failover_by_policy_moves_nothing_that_commits_again() -> None:
    site = Site(service("paspor"), service("pajak"), disk=Consequence.FAILOVER)
    wish = PlanAsked("", PlanAct.BEGIN, BY_ITSELF, "", PlanKind.FAILOVER, "jabodetabek")
    under_way(site, make_plan(site.state, wish, dict.fromkeys(site.world.store, "")))
    site.world.run(5000)
    assert site.world.asked == []
    assert site.world.plan.status is PlanStatus.ENDED
    assert set(left_out(site.world.plan)) == {"paspor", "pajak"}
    assert "commits again" in left_out(site.world.plan)["paspor"]


def test_no_failover_by_policy_is_made_of_what_the_rules_refuse() -> None:
    site = Site(disk=Consequence.FAILOVER)
    wish = PlanAsked("", PlanAct.BEGIN, BY_ITSELF, "", PlanKind.FAILOVER, "jabodetabek")
    plan = make_plan(site.state, wish, dict.fromkeys(site.world.store, ""))
    assert all_refused(site.state, plan, site.world.now_ms, on_request)
    by_hand = replace(plan, by_policy=False)
    assert not all_refused(site.state, by_hand, site.world.now_ms, on_request)


def test_a_primary_that_its_backup_hears_commits() -> None:
    world = Site().world
    state = world.state.services["paspor"]
    unheard = replace(state, proven_once=False, reports={"batam-1": state.reports["batam-1"]})
    assert state.reports["batam-1"].report.primary_heard
    assert commits(unheard, world.now_ms)


def test_a_plan_by_policy_leaves_out_what_is_paused_before_its_turn() -> None:
    specs = [service(name) for name in "abc"]
    site = Site(*specs, disk=Consequence.EVACUATE)
    site.rules = replace(RULES, at_once=1)
    begun(site)
    site.world.turn()
    for name in "bc":
        assert site.world.request(Kind.PAUSE, name).accepted
    plan = site.world.finish()
    assert set(left_out(plan)) == {"b", "c"}
    assert "paused" in left_out(plan)["b"]
    assert site.world.primaries()["b"] == "jabodetabek-1"


def test_a_plan_by_policy_of_a_blind_controller_asks_for_nothing_and_says_so() -> None:
    site = begun(Site(disk=Consequence.EVACUATE))
    seeing = site.nation
    seen_as(site, replace(seeing, blind="2 of 8 agents are heard"))
    site.world.run(5000)
    assert site.world.asked == []
    assert site.world.plan.status is PlanStatus.WAITING
    assert "hears too few" in site.world.plan.because
    seen_as(site, seeing)
    site.world.turn()
    assert site.world.asked != []


def test_a_plan_by_policy_leaves_out_what_is_wished_no_more() -> None:
    site = begun(Site(service("a"), service("b"), disk=Consequence.EVACUATE))
    well = SiteState(SiteSpec("jabodetabek", partner="batam"), Health.HEALTHY, since_ms=0)
    seen_as(site, replace(site.nation, sites={**site.nation.sites, "jabodetabek": well}))
    site.world.run(2000)
    assert site.world.asked == []
    assert site.world.plan.status is PlanStatus.ENDED
    assert set(left_out(site.world.plan)) == {"a", "b"}


def test_a_plan_by_policy_waits_while_nothing_can_be_said_of_its_site() -> None:
    site = begun(Site(disk=Consequence.EVACUATE))
    unknown = replace(site.nation.sites["jabodetabek"], health=Health.UNKNOWN)
    seen_as(site, replace(site.nation, sites={**site.nation.sites, "jabodetabek": unknown}))
    site.world.run(2000)
    assert (site.world.asked, site.world.plan.status) == ([], PlanStatus.WAITING)


def test_a_plan_by_policy_waits_for_nothing_while_all_of_it_is_on_its_way() -> None:
    site = begun(Site(disk=Consequence.EVACUATE))
    site.world.turn()
    assert len(site.world.asked) == 1
    better = SiteState(SiteSpec("jabodetabek", partner="batam"), since_ms=site.world.now_ms)
    for health in (Health.HEALTHY, Health.UNKNOWN):
        seen = replace(better, health=health)
        seen_as(site, replace(site.nation, sites={**site.nation.sites, "jabodetabek": seen}))
        site.world.turn()
        assert site.world.plan.status is PlanStatus.RUNNING


def test_a_group_that_a_plan_by_policy_has_begun_to_move_is_not_torn_apart() -> None:
    site = Site(*group_of("db", "front"), disk=Consequence.EVACUATE)
    begun(site).world.turn()
    assert len(site.world.asked) == 1
    well = SiteState(SiteSpec("jabodetabek", partner="batam"), Health.HEALTHY, since_ms=0)
    seen_as(site, replace(site.nation, sites={**site.nation.sites, "jabodetabek": well}))
    assert site.world.finish().status is PlanStatus.DONE


def going_home(site: Site) -> Site:
    """By policy, and the first of its group is on its way."""
    begun(site).world.turn()
    assert len(home_asked(site)) == 1
    return site


def home_asked(site: Site) -> list[str]:
    """Who was asked to go home, after all were moved away."""
    return [name for name, _kind in site.world.asked[len(site.world.specs) :]]


def is_cared_for(site: Site) -> None:
    caution = Caution("jabodetabek", "bmkg:1", "BMKG", "earthquake", 1, 2, until_ms=2**60)
    seen_as(site, replace(site.nation, cautions=(caution,)))


def is_degraded(site: Site) -> None:
    ill = replace(
        site.nation.sites["jabodetabek"], health=Health.DEGRADED, because="a certificate ends",
        since_ms=site.world.now_ms,
    )  # fmt: skip
    seen_as(site, replace(site.nation, sites={**site.nation.sites, "jabodetabek": ill}))


def test_a_group_that_has_begun_to_go_home_goes_on_to_a_home_that_is_degraded() -> None:
    site = going_home(away(*group_of("db", "cache", "front")))
    is_degraded(site)
    assert site.world.finish().status is PlanStatus.DONE
    assert set(site.world.primaries().values()) == {"jabodetabek-1"}


def test_a_group_that_has_begun_to_go_home_waits_for_a_caution_to_end() -> None:
    site = going_home(away(*group_of("db", "cache", "front")))
    seeing = site.nation
    is_cared_for(site)
    plan = site.world.finish()
    assert (plan.status, left_out(plan)) == (PlanStatus.WAITING, {})
    assert "caution is on at jabodetabek" in plan.because
    assert home_asked(site) == ["db"]
    seen_as(site, seeing)
    site.world.turn()
    assert site.world.finish().status is PlanStatus.DONE
    assert home_asked(site) == ["db", "cache", "front"]


@pytest.mark.parametrize("happens", [is_cared_for, is_degraded])
def test_what_has_not_begun_to_go_home_stays_away(happens: Callable[[Site], None]) -> None:
    site = away(*group_of("db", "front"), service("pajak"))
    site.rules = replace(site.rules, at_once=1)
    going_home(site)
    happens(site)
    site.world.run(60_000)
    begun_with = home_asked(site)[0]
    stays = "pajak" if begun_with == "db" else "db"
    assert site.world.primaries()[stays] == "batam-1"
    assert stays in left_out(site.world.plan)


def waits(site: Site, for_ms: int) -> Plan:
    """Looked at every ten seconds for so long."""
    for _ in range(for_ms // 10_000):
        site.world.now_ms += 10_000
        site.world.feed(Tick())
    return site.world.plan


def blinded(site: Site) -> Site:
    seen_as(site, replace(site.nation, blind="2 of 8 agents are heard"))
    site.world.turn()
    assert site.world.plan.status is PlanStatus.WAITING
    return site


def test_a_plan_by_policy_that_waits_for_too_long_ends_itself_and_says_why() -> None:
    site = blinded(begun(Site(disk=Consequence.EVACUATE)))
    assert waits(site, WAITS_AT_MOST_MS - 10_000).status is PlanStatus.WAITING
    ended = waits(site, 20_000)
    assert ended.status is PlanStatus.ENDED
    assert "waited for 30 min with nothing under way, and ended itself" in ended.because
    assert "another site can be left" in ended.because
    assert "it waited for: the controller hears too few agents" in ended.because
    assert "ended itself" in left_out(ended)["paspor"]
    assert site.world.state.plan is None
    assert site.world.saved[-1].changes[-1].because == ended.because
    (past,) = site.world.state.plan_memory.past
    assert (past.by_policy, past.site) == (True, "jabodetabek")


def test_a_plan_by_policy_that_a_person_pauses_is_that_persons() -> None:
    site = blinded(begun(Site(disk=Consequence.EVACUATE)))
    site.world.act(PlanAct.PAUSE)
    assert waits(site, WAITS_AT_MOST_MS + 20_000).status is PlanStatus.PAUSED


def test_a_plan_that_a_person_asked_for_waits_for_that_person() -> None:
    world = Site(disk=Consequence.EVACUATE).world
    world.lost = {"batam-1"}
    world.run(5000)
    plan = make_plan(
        world.state, PlanAsked("q", PlanAct.BEGIN, "siti", "", PlanKind.EVACUATE, "jabodetabek")
    )
    waiting = replace(plan, status=PlanStatus.WAITING)
    state = replace(world.state, plan_memory=PlanMemory(1, waits_since_ms=0))
    later_ms = world.now_ms + WAITS_AT_MOST_MS
    assert given_up_in_time(state, waiting, later_ms)[1] == waiting
    by_policy = replace(waiting, by_policy=True)
    assert given_up_in_time(state, by_policy, later_ms)[1].status is PlanStatus.ENDED


def test_time_in_which_something_of_it_is_on_its_way_is_no_wait() -> None:
    site = begun(Site(disk=Consequence.EVACUATE))
    site.world.turn()
    assert len(site.world.asked) == 1
    waiting = replace(site.world.plan, status=PlanStatus.WAITING)
    state = replace(site.world.state, plan_memory=PlanMemory(1, waits_since_ms=0))
    state, plan = given_up_in_time(state, waiting, site.world.now_ms)
    assert (plan.status, state.plan_memory.waits_since_ms) == (PlanStatus.WAITING, -1)


def test_another_plan_may_begin_once_one_by_policy_has_ended_itself() -> None:
    site = blinded(begun(Site(disk=Consequence.EVACUATE)))
    assert site.world.ask(PlanKind.EVACUATE, "batam").conflict
    waits(site, WAITS_AT_MOST_MS + 20_000)
    assert site.world.ask(PlanKind.EVACUATE, "batam").accepted
