"""Faults of the controller's store: an older copy of it is put in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.faults.base import Draw, Takes, Verb
from simulator.strike import Strike

if TYPE_CHECKING:
    from simulator.fate import Fate
    from simulator.world import World


def restore_store(world: World, strike: Strike) -> None:
    """The controller ends, and begins again on its store as it was so many changes ago."""
    world.controller.restore(int(strike.on[0]))


VERBS = (Verb("restore-store", restore_store, (Takes.NUMBER,)),)


def draw_restore(fate: Fate) -> list[Strike]:
    """A little older, or much."""
    return [fate.strike("restore-store", str(fate.choice((1, 2, 3, 5, 12))))]


DRAWS: dict[str, Draw] = {"store_restored": draw_restore}
