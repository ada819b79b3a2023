"""Faults of the hub: the controller's process and the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.faults.base import Draw, Takes, Verb
from simulator.strike import Strike

if TYPE_CHECKING:
    from simulator.fate import Fate
    from simulator.world import World


def crash_controller(world: World, strike: Strike) -> None:
    """The process dies; its store stays."""
    world.controller.crash(strike.lasts_ms)


def crash_controller_after(world: World, strike: Strike) -> None:
    """The process dies in the middle of what follows from a change of the store."""
    world.controller.crashes_after_actions = int(strike.on[0])


def pause_controller(world: World, strike: Strike) -> None:
    """The process stands still, and then goes on as if nothing had been."""
    world.controller.still.last(strike.until_ms)


def stop_broker(world: World, strike: Strike) -> None:
    """No message between the agents and the controller gets through."""
    world.network.stop_broker(strike.until_ms)


def restart_broker(world: World, strike: Strike) -> None:
    """It is away for a while, and all that was under way over it is lost."""
    world.network.restart_broker(strike.until_ms)


def reboot_hub(world: World, strike: Strike) -> None:
    """The controller's host starts anew, and its clock with it."""
    world.controller.reboot(strike.lasts_ms)


VERBS = (
    Verb("crash-controller", crash_controller),
    Verb("crash-controller-after-actions", crash_controller_after, (Takes.NUMBER,)),
    Verb("pause-controller", pause_controller, must_end=True),
    Verb("stop-broker", stop_broker),
    Verb("restart-broker", restart_broker),
    Verb("reboot-hub", reboot_hub),
)


def _draw(verb: str) -> Draw:
    return lambda fate: [fate.strike(verb, for_ms=fate.duration_ms())]


def draw_crash_mid(fate: Fate) -> list[Strike]:
    """After none or a few actions of the next change."""
    return [fate.strike("crash-controller-after-actions", str(fate.between(0, 4)))]


DRAWS: dict[str, Draw] = {
    "controller_crash": _draw("crash-controller"),
    "controller_crash_mid": draw_crash_mid,
    "controller_pause": _draw("pause-controller"),
    "broker_down": _draw("stop-broker"),
    "broker_restart": _draw("restart-broker"),
    "hub_reboot": _draw("reboot-hub"),
}
