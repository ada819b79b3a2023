"""A whole site is lost: killed, cut off or frozen, and all six services of it serve elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from config.leases import PROFILES
from lab.base.plan import Service
from lab.incidents.unkind import Fault
from lab.running.four_sites import SERVING, Lab
from lab.whole.fleet import Cost, Fleet
from lab.whole.told import Told, against_every_promise, out_of_order
from lab.whole.twelve import GROUPS, PARTNER, SITE

TAKEOVER_TIMEOUT_S = 90.0
HOLD_S = 3.0
"""How long the site stays lost after its services serve elsewhere."""
SLACK_S = 2.0
"""Above the lease: within that every service of a lost site shall be promoted."""


def killed(fleet: Fleet, site: str) -> Fault:
    """Every process of the site is killed, and started again."""

    async def kill() -> None:
        fleet.lab.kill_site(site)

    async def start() -> None:
        fleet.lab.start_site(site)

    return Fault("site killed", kill, start)


def cut_off(fleet: Fleet, site: str) -> Fault:
    """The site is cut off from everybody, clients too, and healed."""
    links = fleet.lab.links
    return Fault("site cut off", lambda: links.isolate(site), links.heal)


def frozen(fleet: Fleet, site: str) -> Fault:
    """Every process of the site stands still, its prober too, and goes on where it was."""
    lab, also = fleet.lab, (fleet.prober_pid(site),)

    async def thaw() -> None:
        lab.thaw_site(site, also)

    return Fault("site frozen, thawed", lambda: lab.freeze_site(site, also), thaw)


Loss = Callable[[Fleet, str], Fault]
LOSSES: dict[str, Loss] = {
    "site-killed": killed,
    "site-cut-off": cut_off,
    "site-frozen": frozen,
}


async def site_lost(fleet: Fleet, loss: Loss, site: str = SITE) -> Told:
    """Lose a site, wait until its services serve at its partner, and let it come back.

    It ends with everything PROTECTED, and those that were primary there at the partner.
    """
    lab, fault = fleet.lab, loss(fleet, site)
    partner = PARTNER if site == SITE else SITE
    here = [s for s in lab.plan.services if await lab.primary_site(s.name) == site]
    names = [service.name for service in here]
    begun_wall_ms = time.time() * 1000

    async def end() -> None:
        await until_at(lab, partner, here)
        await fleet.wait_for_writes()
        await asyncio.sleep(HOLD_S)

    costs = await fleet.costs(fault, end)
    await lab.wait_until_protected()
    broken = against_every_promise(costs, names)
    broken += [f"{c.service} was moved" for c in costs if c.moved and c.service not in names]
    broken += [f"{c.service} was not moved" for c in costs if not c.moved and c.service in names]
    broken += await out_of_order(lab, GROUPS, begun_wall_ms)
    bound_s = max(PROFILES[service.profile].ttl_ms for service in here) / 1000 + SLACK_S
    late = tuple(_late(costs, names, bound_s))
    return Told(fault.name, tuple(costs), tuple(broken), f"all served within {bound_s:g} s", late)


async def all_at_home(lab: Lab) -> None:
    """Move every service that is elsewhere back to its first site, one after the other."""
    for service in lab.plan.services:
        if await lab.primary_site(service.name) != service.sites[0]:
            await lab.switch_over(service.name)
    await lab.wait_until_protected()


def _late(costs: list[Cost], names: list[str], bound_s: float) -> list[str]:
    return [
        f"{cost.service} served after {cost.served_s} s, above {bound_s:g}"
        for cost in costs
        if cost.service in names and not 0 <= cost.served_s <= bound_s
    ]


async def until_at(lab: Lab, site: str, services: list[Service]) -> None:
    """Until all of them serve at this site. Raises TimeoutError that says where each stands."""
    deadline = asyncio.get_running_loop().time() + TAKEOVER_TIMEOUT_S
    seen: dict[str, dict[str, Any]] = {}
    while asyncio.get_running_loop().time() < deadline:
        seen = await lab.services() or seen
        if all(_serves_at(seen.get(service.name), site) for service in services):
            return
        await asyncio.sleep(0.1)
    story = "; ".join(
        f"{s.name}: {seen[s.name]['phase']} at {seen[s.name]['primary']}: {seen[s.name]['because']}"
        for s in services
        if s.name in seen
    )
    raise TimeoutError(f"not all serve at {site} after {TAKEOVER_TIMEOUT_S} s: {story}")


def _serves_at(seen: dict[str, Any] | None, site: str) -> bool:
    return seen is not None and seen["phase"] in SERVING and seen["primary"].startswith(site)
