"""Losing any one grantor fences nobody; losing all of them fences in time."""

from __future__ import annotations

import asyncio

import pytest

from lab.base.geography import ARBITER
from lab.base.records import Outcome, now_ms
from lab.incidents.incident import Watch
from lab.running.four_sites import Lab

pytestmark = [pytest.mark.lab, pytest.mark.postgres, pytest.mark.asyncio(loop_scope="package")]

TTL_S = 2.0


async def test_a_dead_partner_agent_leaves_the_primary_alone_and_is_taken_back(whole: Lab) -> None:
    before = await whole.api.explain("paspor")
    partner = before["backup"].removesuffix("-1")
    async with Watch(whole, "paspor") as watch:
        await whole.kill_agent(partner)
        seen = await whole.wait_for_phase("paspor", "ALONE")
        assert "is lost" in seen["because"]
        await watch.wait_for_writes()
        whole.start_site(partner)
        seen = await whole.wait_until_whole("paspor")
        assert all(i.outcome is Outcome.ACKED for i in watch.inserts())
    assert (seen["epoch"], seen["primary"]) == (before["epoch"], before["primary"])


async def test_without_controller_and_brokers_everybody_goes_on_writing(whole: Lab) -> None:
    before = await whole.api.explain("paspor")
    async with Watch(whole, "paspor") as watch:
        await whole.kill_controller()
        await whole.kill_brokers()
        await asyncio.sleep(2 * TTL_S)  # What is shown is that nothing happens meanwhile.
        await watch.wait_for_writes()
        await whole.start_brokers()
        whole.controller.start()
        seen = await whole.wait_until_whole("paspor")
        assert all(i.outcome is Outcome.ACKED for i in watch.inserts())
    assert (seen["epoch"], seen["primary"]) == (before["epoch"], before["primary"])


async def test_without_partner_and_controller_the_primary_is_fenced_before_its_leases_end(
    whole: Lab,
) -> None:
    before = await whole.api.explain("paspor")
    partner = before["backup"].removesuffix("-1")
    async with Watch(whole, "paspor") as watch:
        await whole.kill_controller()
        whole.kill_site(partner)
        lost_ms = now_ms()
        await until_refused(watch, lost_ms)
        acked = [i.end_ms for i in watch.inserts() if i.outcome is Outcome.ACKED]
        assert max(acked) < lost_ms + TTL_S * 1000
        whole.controller.start()
        whole.start_site(partner)
        await whole.wait_until_whole("paspor")
        await watch.wait_for_writes()


async def test_a_dead_link_to_the_controller_alone_changes_nothing(whole: Lab) -> None:
    before = await whole.api.explain("paspor")
    primary = before["primary"].removesuffix("-1")
    async with Watch(whole, "paspor") as watch:
        await whole.links.cut(primary, ARBITER)
        await asyncio.sleep(2 * TTL_S)  # What is shown is that nothing happens meanwhile.
        await watch.wait_for_writes()
        seen = await whole.api.explain("paspor")
        assert (seen["epoch"], seen["primary"]) == (before["epoch"], before["primary"])
        assert seen["phase"] == "PROTECTED"
        await whole.links.heal()
        assert all(i.outcome is Outcome.ACKED for i in watch.inserts())


async def until_refused(watch: Watch, since_ms: float) -> None:
    """Wait until the writer is refused everywhere. Raises TimeoutError."""
    deadline_ms = now_ms() + 60_000
    while now_ms() < deadline_ms:
        late = [i for i in watch.inserts() if i.start_ms > since_ms]
        if any(i.outcome is not Outcome.ACKED for i in late):
            return
        await asyncio.sleep(0.05)
    raise TimeoutError("the writer is not refused")
