"""Changes of the configuration in mid-operation; the controller takes them up as it starts anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from controller.core.model import Protection
from protocol.messages import LeaseTerms
from simulator.faults.base import Draw, Takes, Verb
from simulator.setting import LEASES
from simulator.strike import Strike

if TYPE_CHECKING:
    from simulator.fate import Fate
    from simulator.world import World

LOSS_BOUNDS = (1000, 100_000, 1_000_000, 16 * 1024 * 1024)


def _set_lease(terms: LeaseTerms) -> Callable[[World, Strike], None]:
    return lambda world, strike: world.declare(strike.on[0], terms=terms)


def _set_protection(protection: Protection) -> Callable[[World, Strike], None]:
    return lambda world, strike: world.declare(strike.on[0], protection=protection)


def set_loss_bound(world: World, strike: Strike) -> None:
    """So many bytes may be lost without an operator's leave."""
    world.declare(strike.on[0], loss_bound_bytes=int(strike.on[1]))


VERBS = (
    *(Verb(f"lease-{name}", _set_lease(terms), (Takes.SERVICE,)) for name, terms in LEASES.items()),
    *(Verb(f"protect-{p.value}", _set_protection(p), (Takes.SERVICE,)) for p in Protection),
    Verb("loss-bound", set_loss_bound, (Takes.SERVICE, Takes.NUMBER)),
)


def draw_lease(fate: Fate) -> list[Strike]:
    """Another profile, or the same once more."""
    return [fate.strike(f"lease-{fate.choice(tuple(LEASES))}", fate.service().name)]


def draw_protection(fate: Fate) -> list[Strike]:
    """The other one, or the same once more."""
    protection = fate.choice(tuple(Protection))
    return [fate.strike(f"protect-{protection.value}", fate.service().name)]


def draw_loss_bound(fate: Fate) -> list[Strike]:
    """Small or large."""
    return [fate.strike("loss-bound", fate.service().name, str(fate.choice(LOSS_BOUNDS)))]


DRAWS: dict[str, Draw] = {
    "lease": draw_lease,
    "protection": draw_protection,
    "loss_bound": draw_loss_bound,
}
