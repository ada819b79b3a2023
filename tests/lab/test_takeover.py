"""The primary's site or engine dies: one writer at most, nothing hidden, whole again by itself."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import pytest

from lab.four_sites import Lab
from lab.incident import Act, Watch, act

pytestmark = [pytest.mark.lab, pytest.mark.postgres, pytest.mark.asyncio(loop_scope="module")]


def serves(epoch: int) -> Any:
    return lambda s: s["epoch"] == epoch and s["phase"] in ("ALONE", "ARMING", "PROTECTED")


ROW_LEAST_BYTES = 50
"""A row of the writer takes more than that of the log."""


async def foreseen(lab: Lab, site: str) -> dict[str, Any]:
    """What an operator is told of the loss of a site, by the command."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "controller.cli", "what-if", "--lose", site),
        *("--service", "paspor", "--output", "json"),
        *("--controller", f"http://{lab.plan.address('controller')}"),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, out
    (service,) = json.loads(out)["services"]
    return dict(service)


def assert_foretold(told: dict[str, Any], done: Act, kill_s: float) -> None:
    """The same decisions, none later than was said, and no more was lost."""
    changes = done.timeline[: len(told["steps"])]
    phases = [line["phase"] for line in changes]
    assert phases == [step["change"]["to_phase"] for step in told["steps"]]
    assert (told["served"], told["protected"], told["phase"]) == (True, False, "ALONE")
    for step, line in zip(told["steps"], changes, strict=True):
        # What comes after them depends on how fast this machine's engine promotes.
        if line["phase"] in ("COUNTDOWN", "PROMOTING"):
            assert line["at_s"] - kill_s <= step["within_ms"] / 1000, (step, line)
    assert done.acked_lost * ROW_LEAST_BYTES <= told["loss_bytes"]


async def kill_primary_site(lab: Lab, watch: Watch, site: str) -> tuple[Act, float]:
    """What it came to, and how long the killing took, in seconds."""
    before = await lab.api.explain("paspor")
    took_s = 0.0

    async def fault() -> None:
        nonlocal took_s
        begun_s = time.monotonic()
        lab.kill_site(site)
        took_s = time.monotonic() - begun_s

    async def end() -> None:
        await lab.wait_for("the takeover", serves(before["epoch"] + 1), "paspor")

    return await act(watch, f"kill site {site}", fault, end), took_s


async def test_a_dead_site_is_taken_over_as_foreseen_and_returns_as_its_backup(
    whole: Lab,
) -> None:
    dead = await whole.primary_site("paspor")
    async with Watch(whole, "paspor") as watch:
        told = await foreseen(whole, dead)
        done, kill_s = await kill_primary_site(whole, watch, dead)
        assert_foretold(told, done, kill_s)
        assert done.two_writers_s == 0
        assert await whole.primary_site("paspor") != dead
        phases = [line["phase"] for line in done.timeline]
        assert phases[:4] == ["COUNTDOWN", "PROMOTING", "ROUTING", "ALONE"]
        whole.start_site(dead)
        await whole.wait_until_protected()
        seen = await whole.api.explain("paspor")
        assert seen["backup"].startswith(dead)


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
