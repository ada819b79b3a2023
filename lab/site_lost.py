"""A whole site is lost: killed, cut off or frozen, and all six services of it serve elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from config.leases import PROFILES
from lab.fleet import Cost, Fleet
from lab.four_sites import SERVING, Lab
from lab.plan import Service
from lab.site_told import Told, against_every_promise, out_of_order
from lab.twelve import GROUPS, PARTNER, SITE

TAKEOVER_TIMEOUT_S = 90.0
HOLD_S = 3.0
"""How long the site stays lost after its services serve elsewhere."""
SLACK_S = 2.0
"""Above the lease: within that every service of a lost site shall be promoted."""


@dataclass(frozen=True)
class Loss:
    """How a site is lost, and how it comes back."""

    name: str
    cause: Callable[[Fleet], Awaitable[Any]]
    undo: Callable[[Fleet], Awaitable[Any]]


async def _kill(fleet: Fleet) -> None:
    fleet.lab.kill_site(SITE)


async def _start(fleet: Fleet) -> None:
    fleet.lab.start_site(SITE)


async def _isolate(fleet: Fleet) -> None:
    await fleet.lab.links.isolate(SITE)


async def _heal(fleet: Fleet) -> None:
    await fleet.lab.links.heal()


async def _freeze(fleet: Fleet) -> None:
    await fleet.lab.freeze_site(SITE, (fleet.prober_pid(SITE),))


async def _thaw(fleet: Fleet) -> None:
    fleet.lab.thaw_site(SITE, (fleet.prober_pid(SITE),))


LOSSES = {
    "site-killed": Loss("site killed", _kill, _start),
    "site-cut-off": Loss("site cut off", _isolate, _heal),
    "site-frozen": Loss("site frozen, thawed", _freeze, _thaw),
}


async def site_lost(fleet: Fleet, loss: Loss) -> Told:
    """Lose the site, wait until its services serve at the partner, and let it come back.

    It ends with everything PROTECTED, and the six at the partner.
    """
    lab = fleet.lab
    here = [service for service in lab.plan.services if service.sites[0] == SITE]
    begun_wall_ms = time.time() * 1000

    async def end() -> None:
        await until_at(lab, PARTNER, here)
        await fleet.wait_for_writes()
        await asyncio.sleep(HOLD_S)
        await loss.undo(fleet)

    try:
        costs = await fleet.costs(lambda: loss.cause(fleet), end)
    finally:
        await loss.undo(fleet)
    await lab.wait_until_protected()
    names = [service.name for service in here]
    broken = against_every_promise(costs, names)
    broken += [f"{c.service} was moved" for c in costs if c.moved and c.service not in names]
    broken += [f"{c.service} was not moved" for c in costs if not c.moved and c.service in names]
    broken += await out_of_order(lab, GROUPS, begun_wall_ms)
    return Told(loss.name, tuple(costs), tuple(broken), tuple(_late(costs, names)))


def _late(costs: list[Cost], names: list[str]) -> list[str]:
    bound_s = PROFILES["fast"].ttl_ms / 1000 + SLACK_S
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
    return bool(seen) and seen["phase"] in SERVING and seen["primary"].startswith(site)
