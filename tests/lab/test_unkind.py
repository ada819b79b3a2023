"""Cut off, frozen, half deaf: one writer at most, and all is whole again without a hand.

Figures of time are printed. Asserted is what holds on any machine: who may write, and until when.
"""

from __future__ import annotations

import contextlib
import os
import signal

import pytest

from lab.incidents.incident import Watch
from lab.incidents.unkind import (
    Scenario,
    partner_link_cut,
    primary_cut_off,
    primary_deaf,
    primary_frozen,
    primary_mute,
)
from lab.roads.namespaces import why_not
from lab.roads.network import Way
from lab.running.four_sites import Lab
from tests.lab.unkindness import HOLD_S, assert_backup_streams, incident

pytestmark = [
    pytest.mark.lab,
    pytest.mark.postgres,
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.asyncio(loop_scope="module"),
]

LINK_HOLD_S = 20.0
"""Until an async backup that is heard and does not stream is given up."""


@pytest.fixture(scope="module")
def network() -> str:
    return "namespaces"


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


async def test_a_cut_off_site_whose_guard_stands_still_is_fenced_by_its_agent(
    whole: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last extension may be known to the agent alone, so the guard's own deadline, from which
    the margin is told, may be a renewal older than the lease."""
    site = await whole.primary_site("paspor")
    stop_with_the_cut(whole, monkeypatch, whole.guards("paspor", site))
    async with Watch(whole, "paspor") as watch:
        told = await primary_cut_off(whole, watch, HOLD_S)
    print(f"\n{told}")
    assert told.failed_over
    assert (told.act.two_writers_s, told.two_writers_s, told.lost_after) == (0, 0, 0)
    await assert_backup_streams(whole, site)


async def test_two_writers_would_be_seen_if_a_fence_failed(
    whole: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guard and agent of the cut-off site stand still, so that nobody ends its engine in time."""
    site = await whole.primary_site("paspor")
    still = [*whole.guards("paspor", site), whole.agents[site].pid]
    stop_with_the_cut(whole, monkeypatch, still)
    try:
        async with Watch(whole, "paspor") as watch:
            told = await primary_cut_off(whole, watch, HOLD_S)
    finally:
        send_all(still, signal.SIGCONT)
    print(f"\n{told}")
    assert told.failed_over
    assert told.lease_margin_s is not None and told.lease_margin_s < 0
    assert told.two_writers_s > 0
    assert told.act.two_writers_s > 0
    await assert_backup_streams(whole, site)


def stop_with_the_cut(lab: Lab, monkeypatch: pytest.MonkeyPatch, pids: list[int]) -> None:
    """These processes stand still from the cut to its end."""
    isolate, heal = lab.links.isolate, lab.links.heal

    async def isolate_and_stop(place: str, *, way: Way = "both") -> None:
        await isolate(place, way=way)
        send_all(pids, signal.SIGSTOP)

    async def wake_and_heal() -> None:
        send_all(pids, signal.SIGCONT)
        await heal()

    monkeypatch.setattr(lab.links, "isolate", isolate_and_stop)
    monkeypatch.setattr(lab.links, "heal", wake_and_heal)


def send_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
