"""Whoever is killed at the worst moment goes on from there, and nobody else notices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.base.plan import Service
from lab.base.processes import Child
from lab.base.records import Outcome, now_ms
from lab.incidents.incident import Act, Watch, act
from lab.running.four_sites import Lab
from tests.lab.conftest import FAST, STANDARD

pytestmark = [pytest.mark.lab, pytest.mark.postgres, pytest.mark.asyncio(loop_scope="module")]

OUTLASTING_A_LEASE = 800
"""Writes at a hundred a second, for longer than the six seconds of a standard lease."""
WRAPPED = Path(__file__).parent / "wrapped"


@pytest.fixture(scope="module")
def services() -> tuple[Service, ...]:
    return (FAST, STANDARD)


def heard_since(since_ms: float) -> Callable[[dict[str, Any]], bool]:
    """Whether the primary's agent was heard after this moment."""

    def heard(seen: dict[str, Any]) -> bool:
        ages = [c["heard_ago_ms"] for c in seen["copies"] if c["agent"] == seen["primary"]]
        return bool(seen["protected"]) and 0 <= ages[0] < now_ms() - since_ms

    return heard


async def crash_controller_after(lab: Lab, phase: str) -> Child:
    """From now on the controller dies as soon as it has persisted this phase."""
    await lab.kill_controller()
    wrapped = str(WRAPPED / "crashing_controller.py")
    config = str(lab.plan.topology_file)
    child = Child("crashing controller", lab.controller.log, [wrapped, phase, "--config", config])
    child.start()
    await lab.wait_until_protected()
    return child


async def died_and_restarted(lab: Lab, crashing: Child) -> None:
    await crashing.gone()
    lab.controller.start()


@pytest.mark.parametrize("phase", ["DRAINING", "PROMOTING", "ROUTING", "ALONE", "ARMING"])
async def test_a_switchover_survives_its_controller_at_every_step(whole: Lab, phase: str) -> None:
    before = await whole.api.explain("paspor")
    crashing = await crash_controller_after(whole, phase)
    async with Watch(whole, "paspor") as watch:

        async def fault() -> None:
            await whole.ask_until_accepted("paspor", "switchover")
            await died_and_restarted(whole, crashing)

        async def end() -> None:
            await whole.wait_until_whole("paspor")

        done = await act(watch, f"switchover, controller dies in {phase}", fault, end)
    after = await whole.api.explain("paspor")
    assert (done.acked_lost, done.two_writers_s) == (0, 0)
    assert (after["primary"], after["backup"]) == (before["backup"], before["primary"])
    assert after["epoch"] == before["epoch"] + 1


@pytest.mark.parametrize("phase", ["COUNTDOWN", "PROMOTING", "ROUTING", "ALONE"])
async def test_a_failover_survives_its_controller_at_every_step(whole: Lab, phase: str) -> None:
    before = await whole.api.explain("paspor")
    dead = await whole.primary_site("paspor")
    crashing = await crash_controller_after(whole, phase)
    async with Watch(whole, "paspor") as watch:

        async def fault() -> None:
            whole.kill_site(dead)
            await died_and_restarted(whole, crashing)

        async def end() -> None:
            await whole.wait_for(
                "the takeover", lambda s: s["epoch"] > before["epoch"] and s["phase"] == "ALONE",
                "paspor",
            )  # fmt: skip

        done: Act = await act(watch, f"site dies, controller dies in {phase}", fault, end)
    after = await whole.api.explain("paspor")
    assert done.two_writers_s == 0
    assert after["primary"] == before["backup"]
    assert after["epoch"] == before["epoch"] + 1


async def test_an_agent_that_is_killed_and_restarted_leaves_the_engine_running(whole: Lab) -> None:
    before = await whole.api.explain("pajak")
    site = await whole.primary_site("pajak")
    guards = whole.guards("pajak", site)
    async with Watch(whole, "pajak") as watch:
        await whole.kill_agent(site)
        killed_ms = now_ms()
        whole.start_site(site)
        await whole.wait_for("the new life to be heard", heard_since(killed_ms), "pajak")
        await watch.wait_for_writes(OUTLASTING_A_LEASE)
        assert all(i.outcome is Outcome.ACKED for i in watch.inserts())
    after = await whole.api.explain("pajak")
    assert (after["epoch"], after["primary"]) == (before["epoch"], before["primary"])
    assert whole.guards("pajak", site) == guards
