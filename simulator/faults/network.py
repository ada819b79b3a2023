"""Faults of the network: links that break one way or both, and bad weather."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.faults.base import Draw, Takes, Verb
from simulator.parts.network import HUB, Weather
from simulator.strike import Strike

if TYPE_CHECKING:
    from simulator.fate import Fate
    from simulator.world import World

STORM = Weather(near_ms=1, far_ms=120, loss=0.25, doubled=0.2, late=0.15, late_most_ms=5000)


def cut(world: World, strike: Strike) -> None:
    """Nothing gets from one place to the other, nor back."""
    one, other = strike.on
    world.network.cut(one, other, strike.until_ms)
    world.network.cut(other, one, strike.until_ms)


def cut_one_way(world: World, strike: Strike) -> None:
    """Nothing gets from the first place to the second."""
    source, target = strike.on
    world.network.cut(source, target, strike.until_ms)


def isolate(world: World, strike: Strike) -> None:
    """Nothing gets from a place to any other, nor back."""
    (place,) = strike.on
    for other in world.places:
        if other != place:
            world.network.cut(place, other, strike.until_ms)
            world.network.cut(other, place, strike.until_ms)


def storm(world: World, strike: Strike) -> None:
    """Messages are lost, doubled and late, everywhere."""
    world.network.storm(STORM, strike.until_ms)


def stall(world: World, strike: Strike) -> None:
    """Half-open connections: for a while nothing arrives, then everything at once."""
    one, other = strike.on
    world.network.stall(one, other, strike.until_ms)
    world.network.stall(other, one, strike.until_ms)


def slow_log(world: World, strike: Strike) -> None:
    """The log of engines gets from the first place to the second so many ms late."""
    source, target, by_ms = strike.on
    world.network.lag(source, target, int(by_ms), strike.until_ms)


def corrupt(world: World, strike: Strike) -> None:
    """Some messages are changed or cut between two places."""
    one, other = strike.on
    world.network.corrupt(one, other, strike.until_ms)
    world.network.corrupt(other, one, strike.until_ms)


def replay(world: World, strike: Strike) -> None:
    """So many messages that went from a place to another come again, old ones and new ones."""
    source, target, count = strike.on
    world.network.replay(source, target, int(count))


VERBS = (
    Verb("cut", cut, (Takes.PLACE, Takes.PLACE)),
    Verb("cut-one-way", cut_one_way, (Takes.PLACE, Takes.PLACE)),
    Verb("isolate", isolate, (Takes.PLACE,)),
    Verb("storm", storm),
    Verb("stall", stall, (Takes.PLACE, Takes.PLACE)),
    Verb("slow-log", slow_log, (Takes.PLACE, Takes.PLACE, Takes.NUMBER)),
    Verb("corrupt", corrupt, (Takes.PLACE, Takes.PLACE)),
    Verb("replay", replay, (Takes.PLACE, Takes.PLACE, Takes.NUMBER)),
)


def draw_cut(fate: Fate) -> list[Strike]:
    """Any two places."""
    return [fate.strike("cut", *fate.two_places(), for_ms=fate.duration_ms())]


def draw_cut_one_way(fate: Fate) -> list[Strike]:
    """Any two places."""
    return [fate.strike("cut-one-way", *fate.two_places(), for_ms=fate.duration_ms())]


def draw_isolate(fate: Fate) -> list[Strike]:
    """A site where it hurts."""
    return [fate.strike("isolate", fate.site(), for_ms=fate.duration_ms())]


def draw_storm(fate: Fate) -> list[Strike]:
    """For a while."""
    return [fate.strike("storm", for_ms=fate.duration_ms())]


def draw_stall(fate: Fate) -> list[Strike]:
    """Any two places."""
    return [fate.strike("stall", *fate.two_places(), for_ms=fate.duration_ms())]


def draw_slow_log(fate: Fate) -> list[Strike]:
    """From a primary to its backup, as a thin line would have it."""
    record = fate.record(fate.service())
    if record is None or not record.backup:
        return []
    by_ms = str(fate.between(50, 3000))
    for_ms = fate.duration_ms()
    return [fate.strike("slow-log", record.primary, record.backup, by_ms, for_ms=for_ms)]


def draw_corrupt(fate: Fate) -> list[Strike]:
    """Any two places."""
    return [fate.strike("corrupt", *fate.two_places(), for_ms=fate.duration_ms())]


def draw_replay(fate: Fate) -> list[Strike]:
    """Over any link, a few or many."""
    return [fate.strike("replay", *fate.two_places(), str(fate.choice((1, 3, 20))))]


def draw_corner(fate: Fate) -> list[Strike]:
    """A primary loses one grantor for long, and then the other one too; one of them restarts."""
    record = fate.record(fate.service())
    if record is None or not record.backup:
        return []
    ttl_ms = record.terms.ttl_ms
    first, last = fate.shuffled((HUB, record.backup))
    gap_ms = fate.between(ttl_ms // 4, 3 * ttl_ms)
    strikes = [
        fate.strike("cut", record.primary, first, for_ms=6 * ttl_ms),
        fate.strike("cut", record.primary, last, for_ms=6 * ttl_ms - gap_ms, after_ms=gap_ms),
    ]
    if fate.chance(0.7):
        restart = ("crash-controller",) if last == HUB else ("kill-agent", record.backup)
        down_ms, late_ms = fate.between(20, 300), fate.between(0, ttl_ms // 2)
        strikes.append(fate.strike(*restart, for_ms=down_ms, after_ms=gap_ms + late_ms))
    return strikes


def draw_ambush(fate: Fate) -> list[Strike]:
    """A primary loses its agent at the moment in which it loses everybody else."""
    record = fate.record(fate.service())
    if record is None:
        return []
    down_ms, late_ms = fate.between(20, 300), fate.between(0, 40)
    dies = fate.choice(("kill-agent", "crash-host"))
    return [
        fate.strike("isolate", record.primary, for_ms=4 * record.terms.ttl_ms),
        fate.strike(dies, record.primary, for_ms=down_ms, after_ms=late_ms),
    ]


DRAWS: dict[str, Draw] = {
    "cut": draw_cut,
    "cut_one_way": draw_cut_one_way,
    "isolate": draw_isolate,
    "storm": draw_storm,
    "corner": draw_corner,
    "ambush": draw_ambush,
    "stall": draw_stall,
    "slow_log": draw_slow_log,
    "corrupt": draw_corrupt,
    "replay": draw_replay,
}
