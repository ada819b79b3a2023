"""Faults of whole sites: something there is not as it should be, or the controller is alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.faults.base import Draw, Takes, Verb
from simulator.parts.network import HUB
from simulator.strike import Strike

if TYPE_CHECKING:
    from simulator.fate import Fate
    from simulator.world import World

AILS_MS = (1500, 6000, 20_000)
"""Not long enough to count, just so, and for long."""


def ail(world: World, strike: Strike) -> None:
    """A check at the site says that its power fails; its agent tells of it while it lasts."""
    host = world.host(strike.on[0])
    host.ails("power", "on batteries", strike.until_ms)


VERBS = (Verb("ail", ail, (Takes.SITE,)),)


def draw_ail(fate: Fate) -> list[Strike]:
    """Once, or off and on again."""
    site, lasts_ms = fate.site(), fate.choice(AILS_MS)
    first = fate.strike("ail", site, for_ms=lasts_ms)
    if fate.chance(0.5):
        return [first]
    return [first, fate.strike("ail", site, for_ms=lasts_ms, after_ms=2 * lasts_ms)]


def draw_isolate_hub(fate: Fate) -> list[Strike]:
    """The controller hears nobody: it is the one that is cut off."""
    return [fate.strike("isolate", HUB, for_ms=fate.duration_ms())]


DRAWS: dict[str, Draw] = {"ail": draw_ail, "isolate_hub": draw_isolate_hub}
