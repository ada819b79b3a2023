"""Changes of the configuration in the middle of whatever goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from controller.core.model import BackupLoss, Protection
from simulator.faults.base import Draw, Takes, Verb
from simulator.setting import LEASES, SHORT
from simulator.strike import Strike

if TYPE_CHECKING:
    from simulator.fate import Fate
    from simulator.world import World


def configure_lease(world: World, strike: Strike) -> None:
    """The controller is started anew with other lease times for a service."""
    name, lease = strike.on
    spec = world.controller.declared(world.service(name).uid)
    world.controller.configure(replace(spec, terms=LEASES[lease]), strike.lasts_ms)


def configure_protection(world: World, strike: Strike) -> None:
    """The controller is started anew with a service in sync or async mode."""
    name, protection = strike.on
    spec = world.controller.declared(world.service(name).uid)
    changed = replace(spec, protection=Protection(protection))
    world.controller.configure(changed, strike.lasts_ms)


def configure_loss_bound(world: World, strike: Strike) -> None:
    """The controller is started anew with another bound on the loss of a service, in bytes."""
    name, bound_bytes = strike.on
    spec = world.controller.declared(world.service(name).uid)
    changed = replace(spec, loss_bound_bytes=int(bound_bytes))
    world.controller.configure(changed, strike.lasts_ms)


def configure_backup_loss(world: World, strike: Strike) -> None:
    """The controller is started anew, and commits of a sync service wait for a lost backup or not.
    What the file may not say of an async service makes it a sync one."""
    name, policy = strike.on
    spec = world.controller.declared(world.service(name).uid)
    changed = replace(spec, protection=Protection.SYNC, backup_loss=BackupLoss(policy))
    world.controller.configure(changed, strike.lasts_ms)


VERBS = (
    Verb("configure-lease", configure_lease, (Takes.SERVICE, Takes.LEASE)),
    Verb("configure-protection", configure_protection, (Takes.SERVICE, Takes.PROTECTION)),
    Verb("configure-backup-loss", configure_backup_loss, (Takes.SERVICE, Takes.BACKUP_LOSS)),
    Verb("configure-loss-bound", configure_loss_bound, (Takes.SERVICE, Takes.NUMBER)),
)


def draw_lease(fate: Fate) -> list[Strike]:
    """Other times, with a fence at least as long: `saling-agent doctor` measures what it needs."""
    service = fate.service()
    needed_ms = service.spec.terms.fence_budget_ms
    fit = [name for name, terms in SHORT.items() if terms.fence_budget_ms >= needed_ms]
    down_ms = fate.between(20, 2000)
    return [fate.strike("configure-lease", service.name, fate.choice(fit), for_ms=down_ms)]


def draw_protection(fate: Fate) -> list[Strike]:
    """Sync or async, perhaps what it is already."""
    name, protection = fate.service().name, fate.choice(list(Protection)).value
    down_ms = fate.between(20, 2000)
    return [fate.strike("configure-protection", name, protection, for_ms=down_ms)]


def draw_backup_loss(fate: Fate) -> list[Strike]:
    """To wait or not, perhaps what it is already."""
    name, policy = fate.service().name, fate.choice(list(BackupLoss)).value
    down_ms = fate.between(20, 2000)
    return [fate.strike("configure-backup-loss", name, policy, for_ms=down_ms)]


def draw_loss_bound(fate: Fate) -> list[Strike]:
    """Half of it or twice as much."""
    service = fate.service()
    bound_bytes = fate.world.controller.declared(service.uid).loss_bound_bytes
    changed = str(bound_bytes * fate.choice((1, 4)) // 2)
    down_ms = fate.between(20, 2000)
    return [fate.strike("configure-loss-bound", service.name, changed, for_ms=down_ms)]


DRAWS: dict[str, Draw] = {
    "configure_lease": draw_lease,
    "configure_protection": draw_protection,
    "configure_backup_loss": draw_backup_loss,
    "configure_loss_bound": draw_loss_bound,
}
