"""A whole site is moved on purpose: evacuated and failed back, or left as its policy says."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from lab.fleet import Cost, Fleet
from lab.site_told import Told, against_every_promise, out_of_order
from lab.twelve import GROUPS, SITE
from lab.unkind import Fault

OVER = ("done", "ended", "waiting")
PLAN_TIMEOUT_S = 120.0
MEDIAN_S = 2.0
"""No more does an evacuation cost a service, in the middle."""
FLAPS = 3
QUIET_S = 6.0
LOOK_AGAIN_S = 0.1


async def evacuated(fleet: Fleet) -> Told:
    """A person evacuates the site; nothing is lost."""
    return await _by_plan(fleet, "evacuate")


async def failed_back(fleet: Fleet) -> Told:
    """And has its services brought back, within the dwell time, so that he must say so."""
    return await _by_plan(fleet, "failback", now=True)


async def _by_plan(fleet: Fleet, kind: str, **more: Any) -> Told:
    lab, begun_wall_ms = fleet.lab, time.time() * 1000
    asked: dict[str, Any] = {}

    async def ask() -> None:
        asked.update(await lab.api.begin_plan(SITE, kind, reason="the lab asks", **more))

    async def nothing() -> None:
        """What was asked for is not taken back."""

    async def end() -> None:
        await _until_over(fleet, kind)

    costs = await fleet.costs(Fault(f"{kind} of a live site", ask, nothing), end)
    plan = await _newest(fleet)
    await lab.wait_until_protected()
    broken = _against_plans(costs, plan)
    broken += await out_of_order(lab, GROUPS, begun_wall_ms)
    told = Told(plan["id"], tuple(costs), tuple(broken), (), (plan["because"],))
    median_s = told.median_outage_s()
    late = [f"the median outage is {median_s} s, above {MEDIAN_S:g}"] * (median_s > MEDIAN_S)
    return Told(f"{kind} of a live site", told.costs, told.broken, tuple(late), told.notes)


def _against_plans(costs: list[Cost], plan: dict[str, Any]) -> list[str]:
    """Of a plan nothing is lost, whatever the protection."""
    steps = {step["service"] for step in plan["steps"]}
    broken = against_every_promise(costs, steps)
    broken += [f"{c.service}: {c.acked_lost} acknowledged writes are lost" for c in costs
               if c.acked_lost and c.protection != "sync"]  # fmt: skip
    broken += [f"{c.service} was moved" for c in costs if c.moved and c.service not in steps]
    if plan["status"] != "done":
        broken.append(f"{plan['id']} is {plan['status']}: {plan['because']}")
    return broken


async def left_once(fleet: Fleet) -> Told:
    """The power of the site fails, comes back and fails again: it is left once, and not gone back
    to, for its dwell time is not over."""
    lab = fleet.lab
    sign = lab.plan.power_fails(SITE)
    known = {plan["id"] for plan in await lab.api.plans()}

    async def fail() -> None:
        sign.touch()

    async def mend() -> None:
        sign.unlink(missing_ok=True)

    async def end() -> None:
        await _until_over(fleet, "evacuate", known)
        for _ in range(FLAPS):
            await mend()
            await asyncio.sleep(QUIET_S)
            await fail()
            await asyncio.sleep(QUIET_S / 2)

    costs = await fleet.costs(Fault("power of the site fails", fail, mend), end)
    fresh = [plan for plan in await lab.api.plans() if plan["id"] not in known]
    broken = _against_plans(costs, fresh[-1]) if fresh else ["the site was not left"]
    if len(fresh) > 1:
        broken.append(f"it was moved more than once: {', '.join(p['id'] for p in fresh)}")
    notes = tuple(f"{plan['id']} by {plan['by']}: {plan['reason']}" for plan in fresh)
    return Told("degraded: the power of the site fails", tuple(costs), tuple(broken), (), notes)


async def _until_over(fleet: Fleet, kind: str, known: set[str] | None = None) -> None:
    """Until the newest plan, one that was not known, is over or waits. Raises TimeoutError."""
    end_s = asyncio.get_running_loop().time() + PLAN_TIMEOUT_S
    plan: dict[str, Any] = {}
    while asyncio.get_running_loop().time() < end_s:
        plan = await _newest(fleet)
        fresh = plan and plan["kind"] == kind and plan["id"] not in (known or ())
        if fresh and plan["status"] in OVER:
            return
        await asyncio.sleep(LOOK_AGAIN_S)
    raise TimeoutError(f"no {kind} is over after {PLAN_TIMEOUT_S} s; the newest plan: {plan}")


async def _newest(fleet: Fleet) -> dict[str, Any]:
    plans = await fleet.lab.api.plans()
    return plans[0] if plans else {}
