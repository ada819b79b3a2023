"""Plans that nobody asks for: a degraded site is left once, and gone back to when it may be."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from controller.core.model import BY_ITSELF, Phase, ServiceSpec
from controller.core.plan_model import (
    Failback,
    PlanKind,
    StepStatus,
)
from controller.core.plans.policy import LOOK_EVERY_MS, go_by_policy
from controller.core.site_model import (
    Caution,
    Consequence,
    Health,
    Load,
    SiteSpec,
    SiteState,
)
from controller.core.step import on_request
from tests.controller.core.plan_world import group_of, service
from tests.controller.core.site_world import DWELL_MS, RULES, Site


@pytest.fixture(autouse=True)
def told_health(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sites are as a test says, not as they would be judged by their agents."""
    monkeypatch.setattr("controller.core.step.is_due", lambda _nation, _now_ms: False)


def test_a_site_whose_policy_says_so_is_evacuated() -> None:
    plan = Site(disk=Consequence.EVACUATE).plan()
    assert plan is not None
    assert (plan.kind, plan.site, plan.by) == (PlanKind.EVACUATE, "jabodetabek", "the controller")
    assert plan.by_policy
    assert "disk: 2 GiB free" in plan.reason


def test_a_site_whose_policy_only_alarms_is_left_alone() -> None:
    assert Site(disk=Consequence.READINESS).plan() is None
    assert Site(disk=Consequence.ALARM).plan() is None


def test_a_site_is_evacuated_once_within_the_dwell_time() -> None:
    site = Site(disk=Consequence.EVACUATE)
    assert site.left(ago_ms=DWELL_MS - 1).plan() is None
    assert site.left(ago_ms=DWELL_MS - 1, by_policy=False).plan() is None
    assert site.left(ago_ms=DWELL_MS + 1).plan() is not None


def test_no_more_plans_an_hour_are_made_than_are_allowed() -> None:
    site = Site(disk=Consequence.EVACUATE)
    site.left(ago_ms=DWELL_MS + 1, site="ikn")
    site.past = site.past * 2
    assert site.plan() is None
    site.past = site.past[:1]
    assert site.plan() is not None
    site.rules = replace(RULES, per_hour=0)
    assert site.plan() is None


def test_a_controller_that_may_be_the_blind_one_moves_nothing() -> None:
    site = Site(disk=Consequence.EVACUATE)
    site.nation = replace(site.nation, blind="2 of 8 agents are heard")
    assert site.plan() is None


def test_nothing_is_moved_to_a_site_where_caution_is_on() -> None:
    site = Site(disk=Consequence.EVACUATE)
    caution = Caution("batam", "bmkg:1", "BMKG", "earthquake", 1, 2, until_ms=2**60)
    site.nation = replace(site.nation, cautions=(caution,))
    assert site.plan() is None


def test_a_group_of_which_one_is_to_move_moves_as_a_whole_and_others_stay() -> None:
    specs = [
        service("db", group="app", order=1),
        service("front", group="app", order=2, tier="strategis"),
        service("other"),
    ]
    site = Site(*specs)
    spec = replace(
        site.nation.sites["jabodetabek"].spec,
        policy={"disk": {"strategis": Consequence.EVACUATE, "rendah": Consequence.ALARM}},
    )
    ill = replace(site.nation.sites["jabodetabek"], spec=spec)
    site.nation = replace(site.nation, sites={**site.nation.sites, "jabodetabek": ill})
    plan = site.plan()
    assert plan is not None
    assert [step.service for step in plan.steps] == ["db", "front"]


def test_a_paused_service_is_not_moved_by_policy() -> None:
    site = Site(service("paspor"), service("pajak"), disk=Consequence.EVACUATE)
    site.world.store["paspor"] = replace(site.world.store["paspor"], paused="by siti: looks")
    site.world.restart()
    site.world.run(3000)
    plan = site.plan()
    assert plan is not None
    left = [step.service for step in plan.steps if step.status is StepStatus.LEFT_OUT]
    assert left == ["paspor"]


def test_it_looks_once_a_second() -> None:
    site = Site(disk=Consequence.READINESS)
    now_ms = site.world.now_ms
    state, _actions = go_by_policy(site.state, 0, now_ms, on_request)
    again, _actions = go_by_policy(state, 0, now_ms + LOOK_EVERY_MS - 1, on_request)
    assert again is state


def away(*specs: ServiceSpec, by: str = BY_ITSELF, for_ms: int = DWELL_MS, **changes: Any) -> Site:
    """All was moved to batam so long ago, and jabodetabek has been well for the dwell time."""
    site = Site(*specs)
    site.world.ask(PlanKind.EVACUATE, by=by)
    site.world.finish()
    site.world.run(20_000)
    there(site, entered_ms=site.world.now_ms - for_ms)
    well = SiteState(
        SiteSpec("jabodetabek", partner="batam"),
        Health.HEALTHY,
        since_ms=site.world.now_ms - DWELL_MS,
    )
    site.nation = replace(site.nation, sites={**site.nation.sites, "jabodetabek": well})
    site.rules = replace(RULES, failback=Failback.AFTER_DWELL, **changes)
    return site.left(ago_ms=DWELL_MS)


def there(site: Site, *names: str, **changes: Any) -> None:
    """So the services that are named, or all, are seen."""
    state = site.world.state
    changed = {
        uid: replace(service, **changes) if uid in (names or state.services) else service
        for uid, service in state.services.items()
    }
    site.world.state = replace(state, services=changed)


def test_services_go_back_by_themselves_after_the_dwell_time_where_it_is_configured() -> None:
    site = away()
    plan = site.plan()
    assert plan is not None
    assert (plan.kind, plan.site) == (PlanKind.FAILBACK, "jabodetabek")
    site.rules = RULES
    assert site.plan() is None


def test_services_do_not_go_back_by_themselves_within_the_dwell_time() -> None:
    site = away()
    assert site.left(ago_ms=DWELL_MS - 1).plan() is None
    site = away()
    well = site.nation.sites["jabodetabek"]
    fresh = replace(well, since_ms=well.since_ms + 1)
    site.nation = replace(site.nation, sites={**site.nation.sites, "jabodetabek": fresh})
    assert site.plan() is None


def test_what_a_person_moved_away_a_person_brings_back() -> None:
    assert away().left(ago_ms=DWELL_MS, by_policy=False).plan() is None


def test_nothing_goes_back_by_itself_while_care_is_taken_there() -> None:
    site = away()
    caution = Caution("jabodetabek", "bmkg:1", "BMKG", "earthquake", 1, 2, until_ms=2**60)
    site.nation = replace(site.nation, cautions=(caution,))
    assert site.plan() is None


def test_a_service_goes_back_by_itself_once_it_was_away_for_the_dwell_time() -> None:
    site = away(service("paspor"), service("pajak"))
    site.past = ()
    there(site, "pajak", entered_ms=site.world.now_ms - DWELL_MS + 1)
    plan = site.plan()
    assert plan is not None
    assert [step.service for step in plan.steps] == ["paspor"]
    assert away(for_ms=DWELL_MS - 1).plan() is None


def test_a_service_that_a_person_had_moved_does_not_go_back_by_itself() -> None:
    site = away(by="siti")
    site.past = ()
    assert site.plan() is None


def test_a_new_life_of_the_controller_knows_who_moved_a_service() -> None:
    for by, goes in ((BY_ITSELF, True), ("siti", False)):
        site = away(by=by)
        site.past = ()
        site.world.restart()
        site.world.run(3000)
        assert site.plan() is None
        there(site, entered_ms=site.world.now_ms - DWELL_MS)
        assert (site.plan() is not None) is goes


def test_a_service_whose_preferred_host_is_gone_does_not_go_back_by_itself() -> None:
    site = away()
    alone = replace(site.world.state.services["paspor"].record, phase=Phase.ALONE)
    there(site, record=alone)
    assert site.plan() is None


def test_a_group_of_which_one_may_not_go_back_stays_as_a_whole() -> None:
    site = away(*group_of("db", "front"))
    assert site.plan() is not None
    there(site, "front", entered_ms=site.world.now_ms)
    assert site.plan() is None


def test_nothing_is_moved_by_policy_to_a_site_that_was_left_within_the_dwell_time() -> None:
    site = Site(disk=Consequence.EVACUATE)
    assert site.left(ago_ms=DWELL_MS - 1, site="batam").plan() is None
    assert site.left(ago_ms=DWELL_MS + 1, site="batam").plan() is not None


def led_by_tier(capacity_vcpu: float, **led: Consequence) -> Site:
    """A big strategic service and a small one; the partner has room for so much."""
    site = Site(
        service("big", tier="strategis", demand=Load(vcpu=8)),
        service("small", tier="rendah", demand=Load(vcpu=4)),
    )
    ill, well = site.nation.sites["jabodetabek"], site.nation.sites["batam"]
    ill = replace(ill, spec=replace(ill.spec, policy={"disk": led}))
    well = replace(well, spec=replace(well.spec, capacity=Load(vcpu=capacity_vcpu)))
    site.nation = replace(site.nation, sites={"jabodetabek": ill, "batam": well})
    return site


def test_room_is_kept_for_those_alone_that_are_moved() -> None:
    site = led_by_tier(10, strategis=Consequence.ALARM, rendah=Consequence.EVACUATE)
    plan = site.plan()
    assert plan is not None
    assert [(s.service, s.status) for s in plan.steps] == [("small", StepStatus.TO_DO)]
