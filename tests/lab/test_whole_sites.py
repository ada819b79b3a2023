"""Twelve services in four sites, one lab for all: what whole sites do to them, and what not.

Figures of time are printed. Asserted is what holds on any machine: who moves, in which order, what
is lost, and what is said. The tests are in an order: a site is left by itself only where it was
not left yet. Without root only those are done that cut and kill nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from lab.base.plan import Service
from lab.roads.namespaces import why_not
from lab.running.command import saling
from lab.running.four_sites import Lab
from lab.whole import twelve
from lab.whole.degraded import power_fails
from lab.whole.fleet import Fleet
from lab.whole.links import controller_cut_off, link_cut
from lab.whole.lost import killed, site_lost
from lab.whole.moved import site_moved, until_over
from lab.whole.told import Told
from lab.whole.twelve import BEHIND_DOORS, PARTNER, SITE, TWELVE_SERVICES

pytestmark = [
    pytest.mark.lab,
    pytest.mark.postgres,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.asyncio(loop_scope="module"),
]

REASON = ("--reason", "new racks")


def as_root(test: Any) -> Any:
    return pytest.mark.root(pytest.mark.skipif(bool(why_not()), reason=why_not())(test))


@pytest.fixture(scope="module")
def network() -> str:
    return "proxies" if why_not() else "namespaces"


@pytest.fixture(scope="module")
def services() -> tuple[Service, ...]:
    """With longer leases than the bench has: nobody shall lose one to a machine that is busy."""
    chosen = TWELVE_SERVICES if why_not() else BEHIND_DOORS
    return tuple(replace(service, profile="standard") for service in chosen)


@pytest.fixture(scope="module")
def rules() -> Mapping[str, Any]:
    return twelve.rules("power")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(pair: Lab) -> AsyncIterator[Fleet]:
    """All of them written to, for the whole module."""
    await pair.wait_until_protected()
    async with Fleet(pair) as fleet:
        yield fleet


def assert_held(told: Told) -> None:
    """And print its figures."""
    print(f"\n{told.name}: late {told.late}, {told.notes}")
    for cost in told.costs:
        print(cost)
    assert told.broken == ()


@as_root
async def test_a_link_that_is_cut_moves_nothing_and_says_what_it_puts_at_risk(
    fleet: Fleet,
) -> None:
    assert_held(await link_cut(fleet))


@as_root
async def test_a_controller_that_is_cut_off_moves_nothing_and_says_that_it_is_the_blind_one(
    fleet: Fleet,
) -> None:
    assert_held(await controller_cut_off(fleet))


@as_root
async def test_a_site_whose_power_fails_is_left_once_and_not_gone_back_to(fleet: Fleet) -> None:
    assert_held(await power_fails(fleet, flaps=1))


@as_root
async def test_a_site_that_dies_is_taken_over_in_the_order_of_its_groups(fleet: Fleet) -> None:
    """The partner, to which six services came in the test before: it is primary for eight."""
    assert_held(await site_lost(fleet, killed, PARTNER))


async def test_a_living_site_is_evacuated_in_order_and_gone_back_to_and_nothing_is_lost(
    fleet: Fleet,
) -> None:
    """All eight that came to it in the test before; those whose site it is come back."""
    leaving = await primary_at(fleet.lab, SITE)
    away = await site_moved(fleet, ("evacuate", SITE, *REASON), leaving, PARTNER)
    assert_held(away)
    assert_nothing_lost(away)
    code, told = await saling(fleet.lab, "failback", SITE, "--yes", "--by", "the lab")
    assert (code, "--now" in told) == (4, True), told
    here = [service for service in fleet.lab.plan.services if service.sites[0] == SITE]
    home = await site_moved(fleet, ("failback", SITE, "--now", *REASON), here, SITE)
    assert_held(home)
    assert_nothing_lost(home)


async def test_a_controller_that_dies_in_the_middle_goes_on_and_moves_nothing_twice(
    fleet: Fleet,
) -> None:
    lab = fleet.lab
    leaving = [service.name for service in await primary_at(lab, SITE)]
    before = await lab.services()
    code, told = await saling(
        lab, "evacuate", SITE, "--yes", "--no-wait", "--at-once", "1", *REASON
    )
    assert code == 0, told
    await lab.kill_controller()
    lab.controller.start()
    plan = await until_over(fleet)
    await fleet.wait_for_writes()
    assert plan["status"] == "done", plan["because"]
    after = await lab.services()
    moved = {name: after[name]["epoch"] - before[name]["epoch"] for name in before}
    assert moved == {name: int(name in leaving) for name in before}


async def primary_at(lab: Lab, site: str) -> list[Service]:
    return [s for s in lab.plan.services if await lab.primary_site(s.name) == site]


def assert_nothing_lost(told: Told) -> None:
    """By any service, sync or not."""
    assert {cost.service: cost.acked_lost for cost in told.costs if cost.acked_lost} == {}
