"""Operators who move whole sites by plans, and pause, resume and end them, at bad moments."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from controller.core.events import PlanAct, PlanAsked
from controller.core.plan_model import PlanKind
from simulator.faults.base import Draw, Takes, Verb
from simulator.faults.hosts import BOOT_MS
from simulator.strike import Strike

if TYPE_CHECKING:
    from simulator.fate import Fate
    from simulator.world import World

NOW = "despite the dwell time"
"""The reason of who wants services back at once."""


def _begin(kind: PlanKind, now: bool = False) -> Callable[[World, Strike], None]:
    def begin(world: World, strike: Strike) -> None:
        (site,) = strike.on
        world.request(
            lambda id_: PlanAsked(
                id_, PlanAct.BEGIN, "an operator", NOW if now else "", kind=kind, site=site, now=now
            )
        )

    return begin


def _try(world: World, strike: Strike) -> None:
    (site,) = strike.on
    world.request(
        lambda id_: PlanAsked(
            id_, PlanAct.BEGIN, "an operator", kind=PlanKind.EVACUATE, site=site, dry_run=True
        )
    )


def _change(act: PlanAct) -> Callable[[World, Strike], None]:
    def change(world: World, _strike: Strike) -> None:
        world.request(lambda id_: PlanAsked(id_, act, "an operator"))

    return change


VERBS = (
    *(Verb(f"plan-{kind.value}", _begin(kind), (Takes.SITE,)) for kind in PlanKind),
    Verb("plan-failback-now", _begin(PlanKind.FAILBACK, now=True), (Takes.SITE,)),
    Verb("plan-try", _try, (Takes.SITE,)),
    Verb("plan-pause", _change(PlanAct.PAUSE)),
    Verb("plan-resume", _change(PlanAct.RESUME)),
    Verb("plan-end", _change(PlanAct.END)),
)


def _draw(kind: str) -> Draw:
    def draw(fate: Fate) -> list[Strike]:
        site = fate.site()
        strikes = [fate.strike(f"plan-{kind}", site)]
        return [*strikes, *_meanwhile(fate, site)]

    return draw


def _meanwhile(fate: Fate, site: str) -> list[Strike]:
    """What happens while a plan goes on, more often than not: to its site, to the others, to the
    controller; or somebody pauses it, and resumes it too late, or never."""
    after_ms, lasts_ms = fate.between(0, 3000), fate.duration_ms() + BOOT_MS
    other = fate.choice(fate.world.setting.sites)
    return fate.choice(
        (
            [],
            [fate.strike("crash-host", other, for_ms=lasts_ms, after_ms=after_ms)],
            [fate.strike("crash-host", site, for_ms=lasts_ms, after_ms=after_ms)],
            [fate.strike("isolate", other, for_ms=lasts_ms, after_ms=after_ms)],
            [fate.strike("crash-controller", for_ms=fate.duration_ms(), after_ms=after_ms)],
            [
                fate.strike("plan-pause", after_ms=after_ms),
                fate.strike("plan-resume", after_ms=after_ms + fate.duration_ms()),
            ],
            [fate.strike("plan-pause", after_ms=after_ms)],
            [fate.strike("plan-end", after_ms=after_ms)],
            [fate.strike("plan-evacuate", other, after_ms=after_ms)],
        )
    )


def draw_there_and_back(fate: Fate) -> list[Strike]:
    """Evacuated, and back: too soon, or at once on purpose."""
    site = fate.site()
    back = fate.choice(("plan-failback", "plan-failback-now"))
    away = fate.strike("plan-evacuate", site)
    return [away, fate.strike(back, site, after_ms=fate.between(1500, 12_000))]


DRAWS: dict[str, Draw] = {
    **{f"plan_{kind.value}": _draw(kind.value) for kind in PlanKind},
    "plan_there_and_back": draw_there_and_back,
    "plan_try": lambda fate: [fate.strike("plan-try", fate.site())],
    "plan_resume": lambda fate: [fate.strike("plan-resume")],
}
