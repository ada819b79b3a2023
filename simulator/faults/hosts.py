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
    world.host(strike.on[0]).pause_agent(strike.until_ms)


def pause_guard(world: World, strike: Strike) -> None:
    """The guard stands still, and keeps no deadline; its engine and the agent go on."""
    site, service = strike.on
    world.host(site).pause_guards(strike.until_ms, [world.service(service)])


def pause_guards_and_agent(world: World, strike: Strike) -> None:
    """Who fences stands still, all of them; the engines go on."""
    host = world.host(strike.on[0])
    host.pause_agent(strike.until_ms)
    host.pause_guards(strike.until_ms, host.services)


def kill_guard(world: World, strike: Strike) -> None:
    """The guard is killed, and its engine goes with it."""
    site, service = strike.on
    world.host(site).kill_guard(world.service(service))


def freeze_host(world: World, strike: Strike) -> None:
    """Agent, guards and engines stand still; the kernel goes on, and all clocks."""
    world.host(strike.on[0]).freeze(strike.until_ms)


def suspend_host(world: World, strike: Strike) -> None:
    """The kernel stands still as well; the boot clock goes on, and the monotonic one does not."""
    world.host(strike.on[0]).suspend(strike.until_ms)


def pause_machine(world: World, strike: Strike) -> None:
    """A virtual machine is paused, and its clocks with it. Wall time is put right so long after."""
    site, *late_ms = strike.on
    world.host(site).pause_machine(strike.until_ms, int(late_ms[0]) if late_ms else -1)


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
    Verb("suspend-host", suspend_host, (Takes.SITE,), must_end=True),
    Verb("pause-machine", pause_machine, (Takes.SITE,), (Takes.NUMBER,), must_end=True),
    Verb("pause-guard", pause_guard, (Takes.SITE, Takes.SERVICE), must_end=True),
    Verb("pause-guards-and-agent", pause_guards_and_agent, (Takes.SITE,), must_end=True),
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


def draw_pause_guard(fate: Fate) -> list[Strike]:
    """Of one service."""
    return [fate.strike("pause-guard", *fate.copy(), for_ms=fate.duration_ms())]


def _draw_stillness(verb: str) -> Draw:
    return lambda fate: [fate.strike(verb, fate.site(), for_ms=fate.duration_ms())]


def draw_pause_machine(fate: Fate) -> list[Strike]:
    """Wall time is put right soon after it, or not at all."""
    late_ms = fate.choice(((), ("5",), ("300",)))
    return [fate.strike("pause-machine", fate.site(), *late_ms, for_ms=fate.duration_ms())]


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
    "guard_pause": draw_pause_guard,
    "guards_and_agent_pause": _draw_stillness("pause-guards-and-agent"),
    "host_suspend": _draw_stillness("suspend-host"),
    "machine_pause": draw_pause_machine,
    "clock_change": draw_change_clock,
}
