"""The power of a site fails, again and again: it is left as its policy says, once."""

from __future__ import annotations

import asyncio
from typing import Any

from lab.fleet import Fleet
from lab.site_lost import until_at
from lab.site_moved import until_over
from lab.site_told import Told, against_every_promise
from lab.twelve import PARTNER, SITE
from lab.unkind import Fault

BEGUN_TIMEOUT_S = 60.0
FLAPS = 2
TOLD_TIMEOUT_S = 30.0
FRESH_MS, STALE_MS = 1000, 3000
"""A sign that was seen so lately is there; one that was not seen for so long is over: agents
report twice a second."""
LOOK_AGAIN_S = 0.2


async def left_once(fleet: Fleet) -> Told:
    """It is left when the check has failed for long enough; when it is well and fails again within
    the dwell time nothing is moved, neither back nor once more."""
    lab = fleet.lab
    sign = lab.plan.power_fails(SITE)
    here = [service for service in lab.plan.services if service.sites[0] == SITE]
    names = [service.name for service in here]
    known = {plan["id"] for plan in await lab.api.plans()}

    async def fail() -> None:
        sign.touch()

    async def mend() -> None:
        sign.unlink(missing_ok=True)

    async def end() -> None:
        await _until_begun(fleet, known)
        await until_over(fleet)
        await until_at(lab, PARTNER, here)
        for _ in range(FLAPS):
            await mend()
            await _until_told(fleet, fails=False)
            await fail()
            await _until_told(fleet, fails=True)

    costs = await fleet.costs(Fault("its power fails", fail, mend), end)
    await lab.wait_until_protected()
    fresh = [plan for plan in await lab.api.plans() if plan["id"] not in known]
    broken = against_every_promise(costs, names)
    broken += [f"{c.service}: {c.acked_lost} acknowledged writes lost" for c in costs
               if c.acked_lost and c.protection != "sync"]  # fmt: skip
    broken += [f"{c.service} was moved" for c in costs if c.moved and c.service not in names]
    if len(fresh) != 1:
        broken.append(f"one plan was to be made, and there are {[plan['id'] for plan in fresh]}")
    notes = tuple(f"{p['id']} by {p['by']} is {p['status']}: {p['reason']}" for p in fresh)
    return Told("degraded: its power fails", tuple(costs), tuple(broken), (), notes)


async def _until_begun(fleet: Fleet, known: set[str]) -> None:
    end_s = asyncio.get_running_loop().time() + BEGUN_TIMEOUT_S
    while asyncio.get_running_loop().time() < end_s:
        if any(plan["id"] not in known for plan in await fleet.lab.api.plans()):
            return
        await asyncio.sleep(LOOK_AGAIN_S)
    raise TimeoutError(f"no plan was made within {BEGUN_TIMEOUT_S} s")


async def _until_told(fleet: Fleet, *, fails: bool) -> None:
    """Until it counts for the controller that the power fails, or it hears so no more."""
    end_s = asyncio.get_running_loop().time() + TOLD_TIMEOUT_S
    seen: list[dict[str, Any]] = []
    while asyncio.get_running_loop().time() < end_s:
        sites = (await fleet.lab.api.state())["sites"]
        signs = next(site["signs"] for site in sites if site["id"] == SITE)
        seen = [sign for sign in signs if sign["kind"] == "power"]
        if _is_told(seen, fails=fails):
            return
        await asyncio.sleep(LOOK_AGAIN_S)
    text = "fails" if fails else "is back"
    raise TimeoutError(f"that the power {text} was not told within {TOLD_TIMEOUT_S} s: {seen}")


def _is_told(signs: list[dict[str, Any]], *, fails: bool) -> bool:
    if fails:
        return any(sign["last_seen_ago_ms"] < FRESH_MS and sign["counts"] for sign in signs)
    return all(sign["last_seen_ago_ms"] > STALE_MS for sign in signs)
