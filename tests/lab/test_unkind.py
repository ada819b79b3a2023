"""Cut off, frozen, half deaf: one writer at most, and all is whole again without a hand.

Figures of time are printed. Asserted is what holds on any machine: who may write, and until when.
"""

from __future__ import annotations

import pytest

from lab.four_sites import Lab
from lab.incident import Watch
from lab.namespaces import why_not
from lab.unkind import (
    Scenario,
    Unkind,
    partner_link_cut,
    primary_cut_off,
    primary_deaf,
    primary_frozen,
    primary_mute,
)

pytestmark = [
    pytest.mark.lab,
    pytest.mark.postgres,
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.asyncio(loop_scope="module"),
]

HOLD_S = 8.0
"""Four leases: whatever a lease decides has been decided."""
LINK_HOLD_S = 20.0
"""Until an async backup that is heard and does not stream is given up."""


@pytest.fixture(scope="module")
def network() -> str:
    return "namespaces"


async def incident(lab: Lab, scenario: Scenario, hold_s: float = HOLD_S) -> Unkind:
    """Run it, print its figures, and check what must be true of every one."""
    async with Watch(lab, "paspor") as watch:
        told = await scenario(lab, watch, hold_s)
    print(f"\n{told}")
    assert (told.act.two_writers_s, told.lost_after) == (0, 0)
    assert told.lease_margin_s is None or told.lease_margin_s > 0
    return told


async def assert_backup_streams(lab: Lab, site: str) -> None:
    """And from the primary itself."""
    seen = await lab.api.explain("paspor")
    assert seen["backup"].startswith(site)
    connection = await lab.as_superuser("paspor", await lab.primary_site("paspor"))
    try:
        states = await connection.fetch("SELECT state FROM pg_stat_replication")
    finally:
        await connection.close(timeout=2)
    assert [row["state"] for row in states] == ["streaming"]


async def test_a_site_that_is_cut_off_is_fenced_taken_over_and_comes_back_as_the_backup(
    whole: Lab,
) -> None:
    site = await whole.primary_site("paspor")
    told = await incident(whole, primary_cut_off)
    assert told.failed_over
    assert told.acked_inside > 0, "the client inside wrote on until the fence"
    assert (told.acked_after_thaw, told.two_writers_after_s) == (0, 0)
    assert await whole.primary_site("paspor") != site
    await assert_backup_streams(whole, site)


async def test_a_site_that_was_frozen_is_taken_over_and_comes_back_as_the_backup(
    whole: Lab,
) -> None:
    """What the thawed engine still acknowledges is printed: its guard wakes when it does."""
    site = await whole.primary_site("paspor")
    told = await incident(whole, primary_frozen)
    assert told.failed_over
    assert await whole.primary_site("paspor") != site
    await assert_backup_streams(whole, site)


async def test_a_cut_between_primary_and_partner_alone_moves_nothing_and_says_why(
    whole: Lab,
) -> None:
    site = await whole.primary_site("paspor")
    partner = (await whole.api.explain("paspor"))["backup"].removesuffix("-1")
    told = await incident(whole, partner_link_cut, LINK_HOLD_S)
    assert not told.failed_over
    assert told.act.acked_lost == 0
    assert any(partner in reason for reason in told.reasons), told.reasons
    assert await whole.primary_site("paspor") == site
    await assert_backup_streams(whole, partner)


@pytest.mark.parametrize("scenario", [primary_deaf, primary_mute])
async def test_a_road_cut_one_way_moves_the_service_cleanly_or_not_at_all(
    whole: Lab, scenario: Scenario
) -> None:
    before = await whole.api.explain("paspor")
    told = await incident(whole, scenario)
    assert told.two_writers_after_s == 0
    after = await whole.api.explain("paspor")
    assert after["epoch"] - before["epoch"] == int(told.failed_over)
    assert (after["primary"] != before["primary"]) == told.failed_over
