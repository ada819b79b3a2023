"""Faults of the agents' disks: full, or slow; and looks at the engine that take long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.faults.base import Draw, Takes, Verb
from simulator.strike import Strike

if TYPE_CHECKING:
    from simulator.world import World


def fill_disk(world: World, strike: Strike) -> None:
    """Nothing can be written."""
    world.host(strike.on[0]).disk_full_until_ms = strike.until_ms


def slow_disk(world: World, strike: Strike) -> None:
    """Each write takes long."""
    world.host(strike.on[0]).disk_slow_until_ms = strike.until_ms


def slow_looks(world: World, strike: Strike) -> None:
    """What is seen of the engines is old when it is known."""
    world.host(strike.on[0]).look_slow_until_ms = strike.until_ms


VERBS = (
    Verb("fill-disk", fill_disk, (Takes.SITE,)),
    Verb("slow-disk", slow_disk, (Takes.SITE,)),
    Verb("slow-looks", slow_looks, (Takes.SITE,)),
)


def _draw(verb: str) -> Draw:
    return lambda fate: [fate.strike(verb, fate.site(), for_ms=fate.duration_ms())]


DRAWS: dict[str, Draw] = {
    "disk_full": _draw("fill-disk"),
    "disk_slow": _draw("slow-disk"),
    "look_slow": _draw("slow-looks"),
}
