"""A living site of six services in two groups is evacuated and gone back to: nothing is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.command import saling
from lab.fleet import Fleet
from lab.four_sites import Lab
from lab.plan import Service
from lab.site_moved import site_moved, until_over
from lab.twelve import PARTNER, SITE, TWELVE_SERVICES

pytestmark = [
    pytest.mark.lab,
    pytest.mark.postgres,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]

HERE = [service for service in TWELVE_SERVICES if service.sites[0] == SITE]
REASON = ("--reason", "new racks")


@pytest.fixture(scope="module")
def services() -> tuple[Service, ...]:
    """With longer leases than the bench has: nobody shall lose one to a machine that is busy."""
    return tuple(replace(service, profile="standard") for service in TWELVE_SERVICES)


async def test_a_living_site_is_evacuated_in_order_and_gone_back_to_and_nothing_is_lost(
    pair: Lab,
) -> None:
    await pair.wait_until_protected()
    async with Fleet(pair) as fleet:
        away = await site_moved(fleet, ("evacuate", SITE, *REASON), HERE, PARTNER)
        pair.say("\n".join((away.name, *away.notes, *away.late)))
        assert away.broken == ()
        code, told = await saling(pair, "failback", SITE, "--yes", "--by", "the lab")
        assert (code, "--now" in told) == (4, True), told
        home = await site_moved(fleet, ("failback", SITE, "--now", *REASON), HERE, SITE)
        pair.say("\n".join((home.name, *home.notes, *home.late)))
        assert home.broken == ()


async def test_a_controller_that_dies_in_the_middle_goes_on_and_moves_nothing_twice(
    pair: Lab,
) -> None:
    await pair.wait_until_protected()
    before = await pair.services()
    async with Fleet(pair) as fleet:
        code, told = await saling(
            pair, "evacuate", SITE, "--yes", "--no-wait", "--at-once", "1", *REASON
        )
        assert code == 0, told
        await pair.kill_controller()
        pair.controller.start()
        plan = await until_over(fleet)
        await fleet.wait_for_writes()
    assert plan["status"] == "done", plan["because"]
    after = await pair.services()
    moved = {name: after[name]["epoch"] - before[name]["epoch"] for name in before}
    assert moved == {name: int(any(name == s.name for s in HERE)) for name in before}
