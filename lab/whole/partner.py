"""The partner is no help: it fails while a site is failed over to it, or it is too small."""

from __future__ import annotations

import asyncio
import time
from typing import Any, NamedTuple

import yaml

from lab.incidents.unkind import Fault
from lab.whole.fleet import Fleet
from lab.whole.moved import OPEN
from lab.whole.told import Told, against_every_promise, takeovers
from lab.whole.twelve import PARTNER, SITE

AFTER_S = 2.0
"""So long after the site the partner fails: some services have just been promoted there."""
HOLD_S = 8.0
SETTLED_WITHIN_S = 120.0
"""So long after both came back the plan may run on: a step is tried a dozen times."""
RUNNING, WAITING = "running", "waiting"
HELD_TIMEOUT_S = 30.0
LOOK_AGAIN_S = 0.1
ROOM_CORES = 4
DEMAND_CORES = 1


async def partner_fails(fleet: Fleet) -> Told:
    """Site and partner are killed, one after the other, in a failover; both come back.

    The plan must have begun, and be over within a bound, or wait and say for what. What it cost is
    counted once all that followed is over.
    """
    lab, begun, said, settled = fleet.lab, dict[str, Any](), list[str](), list[Settled]()
    begun_wall_ms = time.time() * 1000

    async def kill() -> None:
        lab.kill_site(SITE)
        begun.update(await lab.api.begin_plan(SITE, "failover", reason="the lab lost it"))
        await asyncio.sleep(AFTER_S)
        lab.kill_site(PARTNER)

    async def start() -> None:
        lab.start_site(PARTNER)
        lab.start_site(SITE)

    fault = Fault("site killed, then its partner", kill, start)

    async def end() -> None:
        await asyncio.sleep(HOLD_S)
        said.extend(await _silent(fleet))
        await fault.mend("")
        settled.append(await _until_settled(fleet, begun["plan"]))
        await lab.wait_until_protected()

    costs = await fleet.costs(fault, end)
    plan = settled[0].plan
    mine = [s.name for s in lab.plan.services if PARTNER in s.sites]
    broken = [*against_every_promise(costs, mine), *said, *_against_the_plan(plan)]
    broken += [f"{c.service} was moved" for c in costs if c.moved and c.service not in mine]
    if plan["status"] == WAITING:
        await lab.api.steer_plan("end", reason="the lab has seen enough")
    notes = [
        f"{plan['id']} is {plan['status']} {settled[0].took_s:.0f} s after both came back: "
        f"{plan['because']}",
        *(f"{step['service']}: {step['status']} {step['because']}" for step in plan["steps"]),
        *await takeovers(lab, begun_wall_ms),
    ]
    return Told(fault.name, tuple(costs), tuple(broken), notes=tuple(notes))


class Settled(NamedTuple):
    """A plan that is over or waits, or that was given up on; and how long that took."""

    plan: dict[str, Any]
    took_s: float


async def _until_settled(fleet: Fleet, plan_id: str) -> Settled:
    """Once it is over or waits, or its time is up."""
    loop = asyncio.get_running_loop()
    since_s = loop.time()
    while True:
        plan = next(one for one in await fleet.lab.api.plans() if one["id"] == plan_id)
        took_s = loop.time() - since_s
        if plan["status"] not in OPEN or took_s > SETTLED_WITHIN_S:
            return Settled(plan, took_s)
        await asyncio.sleep(LOOK_AGAIN_S)


def _against_the_plan(plan: dict[str, Any]) -> list[str]:
    """It is over, or it waits, and says why."""
    if plan["status"] in OPEN:
        return [f"{plan['id']} is still {plan['status']} after {SETTLED_WITHIN_S:g} s: "
                f"{plan['because']}"]  # fmt: skip
    return [] if plan["because"] else [f"{plan['id']} is {plan['status']} and does not say why"]


async def _silent(fleet: Fleet) -> list[str]:
    """What stands still and does not say why."""
    services = await fleet.lab.services()
    found = [f"{name} says nothing" for name, seen in services.items() if not seen["because"]]
    return found + _mute(await fleet.lab.api.plan())


def _mute(plan: dict[str, Any] | None) -> list[str]:
    """A plan that waits says why; of one that runs each step does that was asked for."""
    if plan is None:
        return []
    found = []
    if plan["status"] != RUNNING and not plan["because"]:
        found.append(f"{plan['id']} is {plan['status']} and does not say why")
    asked = [step for step in plan["steps"] if step["tries"]]
    return found + [f"{plan['id']}: {step['service']} is {step['status']} and does not say why"
                    for step in asked if not step["because"]]  # fmt: skip


async def partner_too_small(fleet: Fleet) -> Told:
    """The configuration gives the partner room for some only: the services that matter most are
    promoted there, the others are HELD, and go on once there is room."""
    lab = fleet.lab
    here = [service for service in lab.plan.services if service.sites[0] == SITE]
    known = yaml.safe_load(lab.plan.topology_file.read_text())
    await _configure(fleet, _crowded(known, [service.name for service in here]))

    async def kill() -> None:
        lab.kill_site(SITE)

    async def start() -> None:
        lab.start_site(SITE)

    held: dict[str, str] = {}

    async def end() -> None:
        held.update(await _until_held_or_served(fleet, [service.name for service in here]))
        await _configure(fleet, known)

    costs = await fleet.costs(Fault("partner too small", kill, start), end)
    await lab.wait_until_protected()
    broken = against_every_promise(costs, [service.name for service in here])
    broken += [f"{s.name} is strategis, and was held" for s in here
               if s.tier == "strategis" and s.name in held]  # fmt: skip
    if not held:
        broken.append("nothing was held, though the partner has no room for all")
    notes = [f"{name} HELD: {why}" for name, why in held.items()]
    notes.append(f"served at once: {', '.join(s.name for s in here if s.name not in held)}")
    return Told("partner too small", tuple(costs), tuple(broken), notes=tuple(notes))


def _crowded(known: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Every service of the site demands a core, and the partner has too few of them."""
    services = [
        {**service, "demand": {"vcpu": DEMAND_CORES}} if service["name"] in names else service
        for service in known["services"]
    ]
    sites = [
        {
            **site,
            "capacity": {"vcpu": ROOM_CORES},
            "gives_up": [
                s["name"] for s in services if s["name"] in names and s["tier"] != "strategis"
            ],
        }
        if site["id"] == PARTNER
        else site
        for site in known["sites"]
    ]
    return {**known, "services": services, "sites": sites}


async def _configure(fleet: Fleet, document: dict[str, Any]) -> None:
    """Write the topology and have it taken. Raises ApiError when it is refused."""
    file = fleet.lab.plan.topology_file
    file.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    await fleet.lab.api.reload()


async def _until_held_or_served(fleet: Fleet, names: list[str]) -> dict[str, str]:
    """The sentences of those that are HELD, once each is HELD or serves at the partner."""
    end_s = asyncio.get_running_loop().time() + HELD_TIMEOUT_S
    seen: dict[str, Any] = {}
    while asyncio.get_running_loop().time() < end_s:
        seen = await fleet.lab.services()
        mine = {name: seen[name] for name in names if name in seen}
        held = {name: one["because"] for name, one in mine.items() if one["phase"] == "HELD"}
        served = [n for n, o in mine.items() if n not in held and o["primary"].startswith(PARTNER)]
        if len(held) + len(served) == len(names):
            return held
        await asyncio.sleep(LOOK_AGAIN_S)
    told = {name: (one["phase"], one["because"]) for name, one in seen.items() if name in names}
    raise TimeoutError(f"not all are held or serve after {HELD_TIMEOUT_S} s: {told}")
