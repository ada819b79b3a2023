"""Twelve services in four sites, one lab for all: what whole sites do to them, and what not.

Figures of time are printed. Asserted is what holds on any machine: who moves, in which order, what
is lost, and what is said.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from lab.fleet import Fleet
from lab.four_sites import Lab
from lab.namespaces import why_not
from lab.plan import Service
from lab.site_degraded import left_once
from lab.site_links import controller_cut_off, link_cut
from lab.site_lost import killed, site_lost
from lab.site_told import Told
from lab.twelve import BEHIND_DOORS, PARTNER, RULES

pytestmark = [
    pytest.mark.lab,
    pytest.mark.postgres,
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest.fixture(scope="module")
def network() -> str:
    return "namespaces"


@pytest.fixture(scope="module")
def services() -> tuple[Service, ...]:
    """With longer leases than the bench has: nobody shall lose one to a machine that is busy."""
    return tuple(replace(service, profile="standard") for service in BEHIND_DOORS)


@pytest.fixture(scope="module")
def rules() -> Mapping[str, Any]:
    return RULES


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


async def test_a_link_that_is_cut_moves_nothing_and_says_what_it_puts_at_risk(
    fleet: Fleet,
) -> None:
    assert_held(await link_cut(fleet))


async def test_a_controller_that_is_cut_off_moves_nothing_and_says_that_it_is_the_blind_one(
    fleet: Fleet,
) -> None:
    assert_held(await controller_cut_off(fleet))


async def test_a_site_whose_power_fails_is_left_once_and_not_gone_back_to(fleet: Fleet) -> None:
    assert_held(await left_once(fleet))


async def test_a_site_that_dies_is_taken_over_in_the_order_of_its_groups(fleet: Fleet) -> None:
    """The partner, to which six services came in the test before: it is primary for eight."""
    assert_held(await site_lost(fleet, killed, PARTNER))
