"""A drill looks at its home before it brings anything back."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from controller.core.events import PlanAct
from controller.core.plan_model import PlanKind, PlanStatus
from controller.core.site_model import Caution, Consequence, Health
from tests.controller.core.plan_world import group_of, service
from tests.controller.core.site_world import Site
from tests.controller.core.test_plan_willing import seen_as

AWAY = {"batam-1"}
HOME = {"jabodetabek-1"}


@pytest.fixture(autouse=True)
def told_health(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sites are as a test says, not as they would be judged by their agents."""
    monkeypatch.setattr("controller.core.step.is_due", lambda _nation, _now_ms: False)


def drilled(site: Site, **asked: Any) -> Site:
    """All was well, and has been moved away by a drill."""
    is_seen(site, Health.HEALTHY)
    assert site.world.ask(PlanKind.DRILL, **asked).accepted
    while set(site.world.primaries().values()) != AWAY:
        site.world.turn()
    return site


def is_seen(site: Site, health: Health) -> None:
    """The home site, from now on; degraded for a reason that its policy leaves it for."""
    now_ms = site.world.now_ms
    home = site.nation.sites["jabodetabek"]
    signs = tuple(replace(one, first_ms=now_ms, last_ms=now_ms) for one in home.signs)
    seen = replace(home, health=health, since_ms=now_ms, signs=signs)
    seen_as(site, replace(site.nation, sites={**site.nation.sites, "jabodetabek": seen}))


def cared_for(site: Site) -> None:
    caution = Caution("jabodetabek", "bmkg:1", "BMKG", "earthquake", 1, 2, until_ms=2**60)
    seen_as(site, replace(site.nation, cautions=(caution,)))


@pytest.mark.parametrize("health", [Health.DEGRADED, Health.CUT_OFF, Health.DOWN])
def test_a_drill_brings_nothing_back_to_a_site_that_is_not_well(health: Health) -> None:
    site = drilled(Site(*group_of("db", "front"), service("pajak"), disk=Consequence.EVACUATE))
    is_seen(site, health)
    site.world.run(300_000)
    plan = site.world.plan
    assert (plan.kind, plan.status) == (PlanKind.DRILL, PlanStatus.WAITING)
    assert f"jabodetabek is {health.value}" in plan.because
    assert "saling plan end" in plan.because
    assert set(site.world.primaries().values()) == AWAY


def test_a_drill_that_waits_for_its_site_goes_back_once_that_is_well() -> None:
    site = drilled(Site(*group_of("db", "front"), disk=Consequence.EVACUATE))
    is_seen(site, Health.DEGRADED)
    site.world.run(10_000)
    is_seen(site, Health.HEALTHY)
    site.world.turn()
    assert site.world.finish().status is PlanStatus.DONE
    assert set(site.world.primaries().values()) == HOME


def test_a_group_that_a_drill_has_begun_to_bring_back_is_not_torn_apart() -> None:
    site = drilled(Site(*group_of("db", "front")))
    while len(site.world.asked) < 3:
        site.world.turn()
    is_seen(site, Health.DEGRADED)
    assert site.world.finish().status is PlanStatus.DONE
    assert set(site.world.primaries().values()) == HOME


def test_a_drill_waits_for_a_caution_to_end_but_where_it_was_asked_for_despite_it() -> None:
    site = drilled(Site())
    cared_for(site)
    site.world.run(60_000)
    assert site.world.plan.status is PlanStatus.WAITING
    assert "caution is on at jabodetabek" in site.world.plan.because
    despite = drilled(Site(), despite_caution=True)
    cared_for(despite)
    assert despite.world.finish().status is PlanStatus.DONE


def test_a_person_ends_a_drill_that_waits_and_goes_back_all_the_same() -> None:
    site = drilled(Site())
    is_seen(site, Health.DEGRADED)
    site.world.run(10_000)
    assert site.world.act(PlanAct.END).accepted
    assert not site.world.ask(PlanKind.FAILBACK).accepted
    assert site.world.ask(PlanKind.FAILBACK, now=True).accepted
    assert site.world.finish().status is PlanStatus.DONE
    assert set(site.world.primaries().values()) == HOME
