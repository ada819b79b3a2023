"""Faults of the controller's store: it is restored from a copy of some time ago."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.faults.base import Draw, Takes, Verb
from simulator.strike import Strike

if TYPE_CHECKING:
    from simulator.fate import Fate
    from simulator.world import World


def restore_store(world: World, strike: Strike) -> None:
    """The controller is stopped, and started on the store of so many milliseconds ago."""
    as_of_ms = world.kernel.now_ms - int(strike.on[0])
    world.controller.restore(as_of_ms, strike.lasts_ms)


def slow_reads(world: World, strike: Strike) -> None:
    """What is read of the store comes late."""
    world.controller.reads_slow_until_ms = strike.until_ms


def slow_writes(world: World, strike: Strike) -> None:
    """A change is written late, and until then the controller decides and grants nothing."""
    world.controller.writes_slow_until_ms = strike.until_ms


VERBS = (
    Verb("restore-store", restore_store, (Takes.NUMBER,)),
    Verb("slow-reads", slow_reads),
    Verb("slow-writes", slow_writes),
)


def draw_restore(fate: Fate) -> list[Strike]:
    """A backup of some seconds ago."""
    back_ms = str(fate.between(50, 20_000))
    return [fate.strike("restore-store", back_ms, for_ms=fate.duration_ms())]


def _draw(verb: str) -> Draw:
    return lambda fate: [fate.strike(verb, for_ms=fate.duration_ms())]


DRAWS: dict[str, Draw] = {
    "store_restored": draw_restore,
    "slow_reads": _draw("slow-reads"),
    "slow_writes": _draw("slow-writes"),
}
