"""Faults of disks: those of the agents full, or slow, those of data that fill; slow looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.faults.base import Draw, Takes, Verb
from simulator.faults.hosts import BOOT_MS
from simulator.strike import Strike

FULL_AFTER_MS = 8000

if TYPE_CHECKING:
    from simulator.fate import Fate
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


def forget_writes(world: World, strike: Strike) -> None:
    """The host crashes, and its last writes are gone though its disk acknowledged them."""
    site, writes = strike.on
    host = world.host(site)
    host.crash_and_forget(int(writes))
    world.kernel.at(strike.until_ms, host.boot)


def fill_data(world: World, strike: Strike) -> None:
    """The disk of one copy's data fills: low at once, full after so many ms."""
    site, name, *after_ms = strike.on
    room = world.service(name).engines[site].room
    room.fill(int(after_ms[0]) if after_ms else FULL_AFTER_MS, strike.until_ms)


VERBS = (
    Verb("fill-data", fill_data, (Takes.SITE, Takes.SERVICE), (Takes.NUMBER,)),
    Verb("fill-disk", fill_disk, (Takes.SITE,)),
    Verb("slow-disk", slow_disk, (Takes.SITE,)),
    Verb("forget-writes", forget_writes, (Takes.SITE, Takes.NUMBER)),
    Verb("slow-looks", slow_looks, (Takes.SITE,)),
)


def _draw(verb: str) -> Draw:
    return lambda fate: [fate.strike(verb, fate.site(), for_ms=fate.duration_ms())]


def draw_forget_writes(fate: Fate) -> list[Strike]:
    """The last one, a few, or what amounts to an older copy of the disk."""
    writes = str(fate.choice((1, 1, 2, 3, 10, 50)))
    return [fate.strike("forget-writes", fate.site(), writes, for_ms=fate.duration_ms() + BOOT_MS)]


def draw_data_fills(fate: Fate) -> list[Strike]:
    """Full before it is noticed, or long after."""
    site, name = fate.copy()
    after_ms = str(fate.choice((100, 1000, 4000, 8000)))
    return [fate.strike("fill-data", site, name, after_ms, for_ms=fate.between(1000, 20_000))]


DRAWS: dict[str, Draw] = {
    "writes_forgotten": draw_forget_writes,
    "data_fills": draw_data_fills,
    "disk_full": _draw("fill-disk"),
    "disk_slow": _draw("slow-disk"),
    "look_slow": _draw("slow-looks"),
}
