"""A site is degraded, for one reason or another: it is left as its policy says, once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from lab.base.plan import Plan
from lab.faults.slow_disk import SlowDisk
from lab.faults.slow_disk import why_not as why_no_slow_disk
from lab.faults.small_disk import SmallDisk
from lab.incidents.unkind import Fault
from lab.whole.fleet import Fleet
from lab.whole.lost import until_at
from lab.whole.moved import until_over
from lab.whole.told import Told, against_every_promise
from lab.whole.twelve import PARTNER, SITE

BEGUN_TIMEOUT_S = 120.0
FLAPS = 2
TOLD_TIMEOUT_S = 240.0
"""What commits took counts for a minute, and the sign goes off a minute later."""
FRESH_MS, STALE_MS = 1000, 3000
"""A sign that was seen so lately is there; one that was not seen for so long is over: agents
report twice a second."""
LOOK_AGAIN_S = 0.2
MIB = 2**20
DISK_BYTES = 2048 * MIB
LEFT_BYTES = 120 * MIB
"""Below the floor that the lab's agents have for their disks, and enough to follow meanwhile."""
SLOW_SERVICE = "perlintasan"
SLOW_WRITES_PER_S = 14
"""Two to a commit, which may wait for the one before it: so most take longer than the agents'
bound of 250 ms, and leases are renewed all the same."""

Act = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Ailment:
    """One reason for which a site is left."""

    kind: str
    """As its agent calls it."""
    told: str
    begin: Act
    mend: Act
    """Harmless when all is well."""
    flaps: int = FLAPS
    """How often it is well again and then ails anew, within the dwell time. Where it cannot, its
    end is waited for."""


async def power_fails(fleet: Fleet, flaps: int = FLAPS) -> Told:
    """A check of the site's own says so."""
    sign = fleet.lab.plan.power_fails(SITE)

    async def fail() -> None:
        sign.touch()

    async def mend() -> None:
        sign.unlink(missing_ok=True)

    return await left_once(fleet, Ailment("power", "its power fails", fail, mend, flaps))


def small_disk(plan: Plan) -> SmallDisk:
    """For all data of the site; mounted before the lab that `disk_fills` fills it in."""
    return SmallDisk(plan.data_directory(SITE), DISK_BYTES)


async def disk_fills(fleet: Fleet) -> Told:
    """The disk with all data of the site is filled until its agent calls it low."""
    disk = small_disk(fleet.lab.plan)

    async def fill() -> None:
        await asyncio.to_thread(disk.fill, LEFT_BYTES)

    async def mend() -> None:
        disk.make_room()

    return await left_once(fleet, Ailment("disk", "its disk fills", fill, mend))


async def commits_are_slow(fleet: Fleet) -> Told:
    """The disk is slow for one engine of the site. Where it is primary no more nobody measures, so
    it cannot be well and ail anew."""
    data = fleet.lab.plan.data_directory(SITE) / SLOW_SERVICE
    if reason := why_no_slow_disk(data):
        raise RuntimeError(reason)
    disk = SlowDisk(data, SLOW_WRITES_PER_S)

    async def slow() -> None:
        disk.slow()

    async def mend() -> None:
        disk.release()

    return await left_once(fleet, Ailment("latency", "its commits are slow", slow, mend, flaps=0))


async def left_once(fleet: Fleet, ailment: Ailment) -> Told:
    """It is left when the reason was there for long enough; when it is well and ails again within
    the dwell time nothing is moved, neither back nor once more."""
    lab = fleet.lab
    here = [service for service in lab.plan.services if service.sites[0] == SITE]
    names = [service.name for service in here]
    known = {plan["id"] for plan in await lab.api.plans()}

    async def end() -> None:
        await _until_begun(fleet, known)
        await until_over(fleet)
        await until_at(lab, PARTNER, here)
        for _ in range(ailment.flaps):
            await ailment.mend()
            await _until_told(fleet, ailment.kind, ails=False)
            await ailment.begin()
            await _until_told(fleet, ailment.kind, ails=True)
        if not ailment.flaps:
            await ailment.mend()
            await _until_told(fleet, ailment.kind, ails=False)

    costs = await fleet.costs(Fault(ailment.told, ailment.begin, ailment.mend), end)
    await lab.wait_until_protected()
    fresh = [plan for plan in await lab.api.plans() if plan["id"] not in known]
    broken = against_every_promise(costs, names)
    broken += [f"{c.service}: {c.acked_lost} acknowledged writes lost" for c in costs
               if c.acked_lost and c.protection != "sync"]  # fmt: skip
    broken += [f"{c.service} was moved" for c in costs if c.moved and c.service not in names]
    broken += _not_once(fresh, ailment.kind)
    notes = tuple(f"{p['id']} by {p['by']} is {p['status']}: {p['reason']}" for p in fresh)
    return Told(f"degraded: {ailment.told}", tuple(costs), tuple(broken), notes=notes)


def _not_once(plans: list[dict[str, Any]], kind: str) -> list[str]:
    """One plan was made, for this reason, and moved all that it was made for."""
    if len(plans) != 1:
        return [f"one plan was to be made, and there are {[plan['id'] for plan in plans]}"]
    plan = plans[0]
    broken = [] if f"({kind}: " in plan["reason"] else [f"{kind} is not why: {plan['reason']}"]
    if plan["status"] != "done":
        broken.append(f"{plan['id']} is {plan['status']}: {plan['because']}")
    return broken


async def _until_begun(fleet: Fleet, known: set[str]) -> None:
    end_s = asyncio.get_running_loop().time() + BEGUN_TIMEOUT_S
    while asyncio.get_running_loop().time() < end_s:
        if any(plan["id"] not in known for plan in await fleet.lab.api.plans()):
            return
        await asyncio.sleep(LOOK_AGAIN_S)
    raise TimeoutError(f"no plan was made within {BEGUN_TIMEOUT_S} s")


async def _until_told(fleet: Fleet, kind: str, *, ails: bool) -> None:
    """Until the reason counts for the controller, or it hears of it no more."""
    end_s = asyncio.get_running_loop().time() + TOLD_TIMEOUT_S
    seen: list[dict[str, Any]] = []
    while asyncio.get_running_loop().time() < end_s:
        sites = (await fleet.lab.api.state())["sites"]
        signs = next(site["signs"] for site in sites if site["id"] == SITE)
        seen = [sign for sign in signs if sign["kind"] == kind]
        if _is_told(seen, ails=ails):
            return
        await asyncio.sleep(LOOK_AGAIN_S)
    text = "is there" if ails else "is over"
    raise TimeoutError(f"that {kind} {text} was not told within {TOLD_TIMEOUT_S} s: {seen}")


def _is_told(signs: list[dict[str, Any]], *, ails: bool) -> bool:
    if ails:
        return any(sign["last_seen_ago_ms"] < FRESH_MS and sign["counts"] for sign in signs)
    return all(sign["last_seen_ago_ms"] > STALE_MS for sign in signs)
