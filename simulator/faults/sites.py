"""Faults of whole sites: something there is not as it should be, or the controller is alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.core.events import Cautioned, CautionEnded
from controller.core.site_model import Caution
from simulator.faults.base import Draw, Takes, Verb
from simulator.parts.network import HUB
from simulator.setting import AILMENTS
from simulator.strike import Strike

if TYPE_CHECKING:
    from simulator.fate import Fate
    from simulator.world import World

CARE_MOST_MS = 60_000
AILS_MS = (1500, 6000, 20_000)
"""Not long enough to count, just so, and for long."""


def ail(world: World, strike: Strike) -> None:
    """A check at the site says so while it lasts."""
    site, kind = strike.on
    world.host(site).ails(kind, f"{kind} fails", strike.until_ms)


def post(world: World, strike: Strike) -> None:
    """Somebody at the site says so to its agent."""
    site, kind = strike.on
    process = world.host(site).process
    if process is not None:
        process.checks.post(kind, "said by hand", min(strike.lasts_ms, AILS_MS[-1]))


def withdraw(world: World, strike: Strike) -> None:
    """It is taken back."""
    site, kind = strike.on
    process = world.host(site).process
    if process is not None:
        process.checks.withdraw(kind)


def caution(world: World, strike: Strike) -> None:
    """A person takes care of a site for a while."""
    _care(world, strike, by="an operator")


def hazard(world: World, strike: Strike) -> None:
    """A feed says so; what it says twice is said once."""
    _care(world, strike, by="")


def _care(world: World, strike: Strike, by: str) -> None:
    (site,) = strike.on
    now_ms = world.kernel.now_ms
    for_ms = min(strike.lasts_ms, CARE_MOST_MS)
    told = Caution(
        site, f"{by or 'feed'}:{site}", by or "BMKG", f"care for {for_ms} ms", now_ms, for_ms, by
    )
    world.request(lambda id_: Cautioned((told,), now_ms, id_ if by else ""))


def end_caution(world: World, strike: Strike) -> None:
    """A person says that it is over."""
    (site,) = strike.on
    world.request(lambda id_: CautionEnded(id_, site, "an operator"))


VERBS = (
    Verb("ail", ail, (Takes.SITE, Takes.AILMENT)),
    Verb("post", post, (Takes.SITE, Takes.AILMENT)),
    Verb("withdraw", withdraw, (Takes.SITE, Takes.AILMENT)),
    Verb("caution", caution, (Takes.SITE,)),
    Verb("hazard", hazard, (Takes.SITE,)),
    Verb("end-caution", end_caution, (Takes.SITE,)),
)


def draw_ail(fate: Fate) -> list[Strike]:
    """Once, or off and on again."""
    on, lasts_ms = (fate.site(), fate.choice(AILMENTS)), fate.choice(AILS_MS)
    first = fate.strike("ail", *on, for_ms=lasts_ms)
    if fate.chance(0.5):
        return [first]
    return [first, fate.strike("ail", *on, for_ms=lasts_ms, after_ms=2 * lasts_ms)]


def draw_post(fate: Fate) -> list[Strike]:
    """Said, said again, or taken back."""
    on, lasts_ms = (fate.site(), fate.choice(AILMENTS)), fate.choice(AILS_MS)
    then = fate.choice(("post", "withdraw"))
    return [
        fate.strike("post", *on, for_ms=lasts_ms),
        fate.strike(then, *on, after_ms=fate.duration_ms()),
    ]


def draw_isolate_hub(fate: Fate) -> list[Strike]:
    """The controller hears nobody, or one site alone: it is the one that is cut off."""
    lasts_ms = fate.duration_ms() + fate.choice((0, 10_000))
    if fate.chance(0.5):
        return [fate.strike("isolate", HUB, for_ms=lasts_ms)]
    heard = fate.site()
    others = [site for site in fate.world.setting.sites if site != heard]
    return [fate.strike("cut", HUB, site, for_ms=lasts_ms) for site in others]


def draw_caution(fate: Fate) -> list[Strike]:
    """A feed, a person, or both; longer than the night, or for a moment; perhaps ended."""
    site, lasts_ms = fate.site(), fate.choice((2000, 60_000))
    strikes = [
        fate.strike(fate.choice(("hazard", "caution")), site, for_ms=lasts_ms, after_ms=after_ms)
        for after_ms in (0, fate.duration_ms())
    ]
    if fate.chance(0.4):
        strikes.append(fate.strike("end-caution", site, after_ms=fate.duration_ms()))
    return strikes


DRAWS: dict[str, Draw] = {
    "ail": draw_ail,
    "post": draw_post,
    "isolate_hub": draw_isolate_hub,
    "caution": draw_caution,
}
