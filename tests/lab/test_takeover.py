"""The primary's site or engine dies: one writer at most, nothing hidden, whole again by itself."""

from __future__ import annotations

import time
from typing import Any

import pytest

from lab.four_sites import Lab
from lab.incident import Act, Watch, act

pytestmark = [pytest.mark.lab, pytest.mark.postgres, pytest.mark.asyncio(loop_scope="module")]

TURNING_MS = 500
"""What a busy machine may take to kill a site, carry an order and write it down."""


def serves(epoch: int) -> Any:
    return lambda s: s["epoch"] == epoch and s["phase"] in ("ALONE", "ARMING", "PROTECTED")


async def kill_primary_site(lab: Lab, watch: Watch) -> tuple[Act, str]:
    before = await lab.api.explain("paspor")
    site = await lab.primary_site("paspor")

    async def fault() -> None:
        lab.kill_site(site)

    async def end() -> None:
        await lab.wait_for("the takeover", serves(before["epoch"] + 1), "paspor")

    return await act(watch, f"kill site {site}", fault, end), site


async def test_a_dead_site_is_taken_over_by_its_partner_and_returns_as_its_backup(
    whole: Lab,
) -> None:
    async with Watch(whole, "paspor") as watch:
        done, dead = await kill_primary_site(whole, watch)
        assert done.two_writers_s == 0
        assert await whole.primary_site("paspor") != dead
        phases = [line["phase"] for line in done.timeline]
        assert phases[:4] == ["COUNTDOWN", "PROMOTING", "ROUTING", "ALONE"]
        whole.start_site(dead)
        await whole.wait_until_protected()
        seen = await whole.api.explain("paspor")
        assert seen["backup"].startswith(dead)


async def test_what_was_foreseen_is_what_the_rules_decide_and_no_later(whole: Lab) -> None:
    site = await whole.primary_site("paspor")
    foreseen = (await whole.api.what_if(lose=site))["services"][0]
    before = await whole.api.explain("paspor")
    lost_ms = time.time() * 1000
    whole.kill_site(site)
    await whole.wait_for("the takeover", serves(before["epoch"] + 1), "paspor")
    history = await whole.api.history("paspor")
    came = [
        (line["transition"], line["at_ms"] - lost_ms)
        for line in reversed(history)
        if line["transition"]["revision"] > before["revision"]
    ][:4]
    steps = foreseen["steps"]
    assert [told["to_phase"] for told, _ in came] == [s["change"]["to_phase"] for s in steps]
    assert foreseen["primary"] == came[-1][0]["primary"]
    promotions = [
        (s, at_ms)
        for s, (told, at_ms) in zip(steps, came, strict=True)
        if told["to_phase"] == "PROMOTING"
    ]
    ((step, at_ms),) = promotions
    assert at_ms <= step["within_ms"] + TURNING_MS
    whole.start_site(site)
    await whole.wait_until_protected()


async def test_a_planned_switchover_loses_nothing(whole: Lab) -> None:
    before = await whole.api.explain("paspor")

    async def fault() -> None:
        await whole.api.ask("paspor", "switchover")

    async def end() -> None:
        await whole.wait_for("the switchover", serves(before["epoch"] + 1), "paspor")

    async with Watch(whole, "paspor") as watch:
        done = await act(watch, "switchover", fault, end)
    assert (done.acked_lost, done.two_writers_s) == (0, 0)
    phases = [line["phase"] for line in done.timeline]
    assert phases[:4] == ["DRAINING", "PROMOTING", "ROUTING", "ALONE"]


async def test_a_killed_engine_is_restarted_in_place_and_loses_nothing(whole: Lab) -> None:
    before = await whole.api.explain("paspor")
    site = await whole.primary_site("paspor")

    async def fault() -> None:
        whole.kill_engine("paspor", site)

    async def end() -> None:
        await watch.wait_for_writes()

    async with Watch(whole, "paspor") as watch:
        done = await act(watch, "kill engine", fault, end)
    assert (done.acked_lost, done.two_writers_s) == (0, 0)
    after = await whole.api.explain("paspor")
    assert (after["epoch"], after["primary"]) == (before["epoch"], before["primary"])


async def test_a_killed_guard_takes_its_engine_with_it_and_both_come_back(whole: Lab) -> None:
    site = await whole.primary_site("paspor")
    old = whole.guards("paspor", site)

    async def fault() -> None:
        whole.kill_guard("paspor", site)

    async def end() -> None:
        await watch.wait_for_writes()

    async with Watch(whole, "paspor") as watch:
        done = await act(watch, "kill guard", fault, end)
    assert (done.acked_lost, done.two_writers_s) == (0, 0)
    assert whole.guards("paspor", site) != old
