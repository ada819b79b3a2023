"""A whole site is moved by a plan while it lives: evacuated, and gone back to."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec

from controller.cli.exits import Exit
from lab.base.plan import Service
from lab.incidents.unkind import Fault
from lab.running.command import saling
from lab.running.four_sites import UNREACHABLE
from lab.whole.fleet import Fleet
from lab.whole.lost import until_at
from lab.whole.told import Told, against_every_promise, out_of_order
from lab.whole.twelve import GROUPS

PLAN_TIMEOUT_S = 180.0
OUTAGE_BOUND_S = 2.0
"""What the median outage of a planned move may be."""
OPEN = ("running", "paused")


async def site_moved(
    fleet: Fleet, command: tuple[str, ...], services: list[Service], to_site: str
) -> Told:
    """Ask for the plan with this command of `saling`, wait until it is over, and tell.

    It ends with everything PROTECTED, and the services at the other site.
    """
    lab, begun_wall_ms = fleet.lab, time.time() * 1000
    names = [service.name for service in services]

    async def ask() -> None:
        code, told = await saling(lab, *command, "--yes", "--no-wait", "--by", "the lab")
        if code != Exit.OK:
            raise AssertionError(f"saling {' '.join(command)} ended with {code}: {told}")

    async def nothing() -> None:
        """What was moved stays."""

    async def end() -> None:
        over = await until_over(fleet)
        if over["status"] != "done":
            raise AssertionError(f"{over['id']} is {over['status']}: {over['because']}")
        await until_at(lab, to_site, services)

    costs = await fleet.costs(Fault(" ".join(command[:2]), ask, nothing), end)
    await lab.wait_until_protected()
    plan = (await lab.api.plans())[0]
    broken = against_every_promise(costs, names)
    broken += [
        f"{c.service}: {c.acked_lost} acknowledged writes lost" for c in costs if c.acked_lost
    ]
    broken += [f"{c.service} was moved" for c in costs if c.moved and c.service not in names]
    broken += [f"{c.service} was not moved" for c in costs if not c.moved and c.service in names]
    broken += await out_of_order(lab, GROUPS, begun_wall_ms)
    return bounded(Told(command[0], tuple(costs), tuple(broken), notes=tuple(_steps(plan))))


def bounded(told: Told) -> Told:
    """With what a planned move may take, and whether it took longer."""
    median_s = told.median_outage_s()
    late = (f"the median outage was {median_s} s",) if median_s > OUTAGE_BOUND_S else ()
    return msgspec.structs.replace(told, bound=f"median outage <= {OUTAGE_BOUND_S:g} s", late=late)


async def until_over(fleet: Fleet) -> dict[str, Any]:
    """The newest plan, once it is over or waits. Raises TimeoutError."""
    async with asyncio.timeout(PLAN_TIMEOUT_S):
        while True:
            try:
                plans = await fleet.lab.api.plans()
            except UNREACHABLE:
                plans = []
            if plans and plans[0]["status"] not in OPEN:
                return plans[0]
            await asyncio.sleep(0.2)


def _steps(plan: dict[str, Any]) -> list[str]:
    return [
        f"{step['service']}: {step['status']}, tried {step['tries']} times, outage "
        f"{step['outage_ms']} ms, took {step['took_ms']} ms"
        for step in plan["steps"]
    ]
