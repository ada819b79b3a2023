"""Only links are cut, or the controller alone: nothing moves, and it is said what is the matter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from lab.base.geography import ARBITER
from lab.incidents.unkind import Fault
from lab.whole.fleet import Fleet
from lab.whole.told import Told, against_every_promise
from lab.whole.twelve import PARTNER, SITE

HOLD_S = 12.0
"""Longer than it takes to call a way cut: five probes, and the time for which that must last."""
SHARED = "java-bangka-batam"
LOOK_AGAIN_S = 0.25


async def link_cut(fleet: Fleet, *, one_way: bool = False) -> Told:
    """The link between the site and its partner is cut while both reach everybody else."""
    links, name = fleet.lab.links, "one way of a link cut" if one_way else "one link cut"
    fault = Fault(name, lambda: links.cut(SITE, PARTNER, one_way=one_way), links.heal)
    return await _held(fleet, fault, _against_the_link)


async def controller_cut_off(fleet: Fleet) -> Told:
    """The place of the controller is cut off from everybody."""
    links = fleet.lab.links
    fault = Fault("the controller cut off", lambda: links.isolate(ARBITER), links.heal)
    return await _held(fleet, fault, _against_the_blind)


async def _held(fleet: Fleet, fault: Fault, against: Callable[[dict[str, Any]], list[str]]) -> Told:
    """Hold it, read the status in the end, and heal."""
    lab = fleet.lab
    seen: dict[str, Any] = {}

    async def end() -> None:
        until_s = asyncio.get_running_loop().time() + HOLD_S
        while asyncio.get_running_loop().time() < until_s:
            seen.update(await lab.api.state())
            await asyncio.sleep(LOOK_AGAIN_S)

    costs = await fleet.costs(fault, end)
    await lab.wait_until_protected()
    broken = against_every_promise(costs, ())
    broken += [f"{cost.service} was moved" for cost in costs if cost.moved]
    broken += against(seen)
    return Told(fault.name, tuple(costs), tuple(broken), notes=tuple(_said(seen)))


def _against_the_link(state: dict[str, Any]) -> list[str]:
    """It says which link, what runs beside it, and whom its loss puts at risk."""
    link = _link(state)
    broken = []
    if link["health"] == "up":
        broken.append(f"the link is called up: {link['because']}")
    if SHARED not in link["shared_risk"]:
        broken.append(f"{SHARED} is not told as shared: {link['shared_risk']}")
    expected = {s["service"] for s in state["services"] if _stands_at_both_ends(s)}
    if set(link["at_risk"]) != expected:
        broken.append(f"at risk are {sorted(expected)}, told are {link['at_risk']}")
    lost = [site["id"] for site in state["sites"] if site["health"] in ("down", "cut off")]
    return broken + [f"{site} is called lost" for site in lost]


def _against_the_blind(state: dict[str, Any]) -> list[str]:
    """It says that it is the blind one, and calls no site lost."""
    broken = (
        [] if state["controller"]["blind"] else ["the controller does not say that it is blind"]
    )
    lost = [site["id"] for site in state["sites"] if site["health"] in ("down", "cut off")]
    return broken + [f"{site} is called lost" for site in lost]


def _said(state: dict[str, Any]) -> list[str]:
    link = _link(state)
    told = [f"{' <-> '.join(link['sites'])} {link['health']}: {link['because']}"]
    blind = state["controller"]["blind"]
    return told + [blind] * bool(blind)


def _link(state: dict[str, Any]) -> dict[str, Any]:
    ends = {SITE, PARTNER}
    link: dict[str, Any] = next(one for one in state["links"] if set(one["sites"]) == ends)
    return link


def _stands_at_both_ends(service: dict[str, Any]) -> bool:
    return {copy["site"] for copy in service["copies"]} == {SITE, PARTNER}
