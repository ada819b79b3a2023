"""Faults of hosts: they crash, and what runs on them is killed or stands still."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.faults.base import Draw, Takes, Verb
from simulator.parts.clock import RATE_MOST_PPM
from simulator.parts.network import HUB
from simulator.strike import Strike

if TYPE_CHECKING:
    from simulator.fate import Fate
    from simulator.world import World

BOOT_MS = 300


def crash_host(world: World, strike: Strike) -> None:
    """Everything on it ends at once; its disk stays."""
    host = world.host(strike.on[0])
    host.crash()
    world.kernel.at(strike.until_ms, host.boot)


def kill_agent(world: World, strike: Strike) -> None:
    """The agent alone; guards and engines go on."""
    host = world.host(strike.on[0])
    host.kill_agent()
    world.kernel.at(strike.until_ms, host.start_agent)


def kill_agent_after(world: World, strike: Strike) -> None:
    """The agent dies right after it wrote to its disk for the n-th time from now."""
    process = world.host(strike.on[0]).process
    if process:
        process.crashes_at_persist = int(strike.on[1])


def pause_agent(world: World, strike: Strike) -> None:
    """The agent stands still, and then goes on as if nothing had been."""
    process = world.host(strike.on[0]).process
    if process:
        process.paused_until_ms = strike.until_ms


def kill_guard(world: World, strike: Strike) -> None:
    """The guard is killed, and its engine goes with it."""
    site, service = strike.on
    world.host(site).kill_guard(world.service(service))


def freeze_host(world: World, strike: Strike) -> None:
    """Agent, guards and engines stand still; the boot clock goes on, as in a suspend."""
    world.host(strike.on[0]).freeze(strike.until_ms)


def change_clock(world: World, strike: Strike) -> None:
    """The clock of a place runs so many millionths too fast from now on."""
    place, rate_ppm = strike.on
    clock = world.controller if place == HUB else world.host(place)
    clock.change_rate(max(-RATE_MOST_PPM, min(RATE_MOST_PPM, int(rate_ppm))))


VERBS = (
    Verb("crash-host", crash_host, (Takes.SITE,)),
    Verb("kill-agent", kill_agent, (Takes.SITE,)),
    Verb("kill-agent-after-writes", kill_agent_after, (Takes.SITE, Takes.NUMBER)),
    Verb("pause-agent", pause_agent, (Takes.SITE,), must_end=True),
    Verb("freeze-host", freeze_host, (Takes.SITE,), must_end=True),
    Verb("change-clock", change_clock, (Takes.PLACE, Takes.NUMBER)),
    Verb("kill-guard", kill_guard, (Takes.SITE, Takes.SERVICE)),
)


def draw_crash_host(fate: Fate) -> list[Strike]:
    """It takes a while to come up."""
    return [fate.strike("crash-host", fate.site(), for_ms=fate.duration_ms() + BOOT_MS)]


def draw_kill_agent(fate: Fate) -> list[Strike]:
    """Somebody starts it again after a while."""
    return [fate.strike("kill-agent", fate.site(), for_ms=fate.duration_ms())]


def draw_kill_agent_mid(fate: Fate) -> list[Strike]:
    """Between what is written and what follows from it."""
    return [fate.strike("kill-agent-after-writes", fate.site(), str(fate.between(1, 2)))]


def draw_pause_agent(fate: Fate) -> list[Strike]:
    """For a while."""
    return [fate.strike("pause-agent", fate.site(), for_ms=fate.duration_ms())]


def draw_kill_guard(fate: Fate) -> list[Strike]:
    """Of one service."""
    return [fate.strike("kill-guard", *fate.copy())]


def draw_freeze_host(fate: Fate) -> list[Strike]:
    """For less than a lease, or for longer."""
    return [fate.strike("freeze-host", fate.site(), for_ms=fate.duration_ms())]


def draw_change_clock(fate: Fate) -> list[Strike]:
    """Any place, as far as clocks may go, or right."""
    rate_ppm = fate.choice((-RATE_MOST_PPM, 0, RATE_MOST_PPM))
    return [fate.strike("change-clock", fate.choice(fate.world.places), str(rate_ppm))]


DRAWS: dict[str, Draw] = {
    "host_crash": draw_crash_host,
    "agent_kill": draw_kill_agent,
    "agent_kill_mid": draw_kill_agent_mid,
    "agent_pause": draw_pause_agent,
    "guard_kill": draw_kill_guard,
    "host_freeze": draw_freeze_host,
    "clock_change": draw_change_clock,
}
