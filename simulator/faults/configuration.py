"""Changes of the configuration in the middle of whatever goes on: cold, by a controller that is
started anew, and hot, by one that leads on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from controller.core.events import Kind
from controller.core.model import BackupLoss, Protection, ServiceSpec
from controller.core.site_model import Stage
from simulator.faults.base import Draw, Takes, Verb
from simulator.setting import LEASES, SHORT
from simulator.strike import RELOAD, Strike

if TYPE_CHECKING:
    from simulator.fate import Fate
    from simulator.world import World

Change = Callable[[ServiceSpec, str], ServiceSpec]
COLD = "configure-"


def other_lease(spec: ServiceSpec, lease: str) -> ServiceSpec:
    """With other lease times."""
    return replace(spec, terms=LEASES[lease])


def other_protection(spec: ServiceSpec, protection: str) -> ServiceSpec:
    """In sync or async mode."""
    return replace(spec, protection=Protection(protection))


def other_loss_bound(spec: ServiceSpec, bound_bytes: str) -> ServiceSpec:
    """With another bound on the loss, in bytes."""
    return replace(spec, loss_bound_bytes=int(bound_bytes))


def other_backup_loss(spec: ServiceSpec, policy: str) -> ServiceSpec:
    """Commits wait for a lost backup, or not. What the file may not say of an async service makes
    it a sync one."""
    return replace(spec, protection=Protection.SYNC, backup_loss=BackupLoss(policy))


def other_stage(spec: ServiceSpec, site: str, stage: Stage) -> ServiceSpec:
    """With its copy at a site, if it has one there, in a site of that stage."""
    staged = (replace(r, stage=stage) if r.site == site else r for r in spec.replicas)
    return replace(spec, replicas=tuple(staged))


CHANGES: dict[str, tuple[Change, Takes]] = {
    "lease": (other_lease, Takes.LEASE),
    "protection": (other_protection, Takes.PROTECTION),
    "backup-loss": (other_backup_loss, Takes.BACKUP_LOSS),
    "loss-bound": (other_loss_bound, Takes.NUMBER),
}


def _cold(change: Change, world: World, strike: Strike) -> None:
    """The controller is started anew, and finds a service declared otherwise."""
    name, value = strike.on
    spec = world.controller.declared(world.service(name).uid)
    world.controller.configure(change(spec, value), strike.lasts_ms)


def _hot(change: Change, world: World, strike: Strike) -> None:
    """The controller leads on, and finds a service declared otherwise."""
    name, value = strike.on
    world.reload(change(world.controller.declared(world.service(name).uid), value))


def reload_stage(world: World, strike: Strike) -> None:
    """A site comes to another stage."""
    site, stage = strike.on
    specs = (world.controller.declared(service.uid) for service in world.services)
    world.reload(*(other_stage(spec, site, Stage(stage)) for spec in specs))


def reload_leave(world: World, strike: Strike) -> None:
    """The copies at a site are declared no more."""
    (site,) = strike.on
    changed = []
    for service in world.services:
        spec = world.controller.declared(service.uid)
        left = tuple(replica for replica in spec.replicas if replica.site != site)
        changed.append(replace(spec, replicas=left or spec.replicas))
    world.reload(*changed)


def reload_join(world: World, strike: Strike) -> None:
    """The copies at a site are declared again."""
    (site,) = strike.on
    changed = []
    for service in world.services:
        spec = world.controller.declared(service.uid)
        known = {replica.site: replica for replica in spec.replicas}
        copies = (known.get(r.site, r if r.site == site else None) for r in service.spec.replicas)
        changed.append(replace(spec, replicas=tuple(filter(None, copies))))
    world.reload(*changed)


VERBS = (
    *(
        Verb(f"{COLD}{name}", partial(_cold, change), (Takes.SERVICE, takes))
        for name, (change, takes) in CHANGES.items()
    ),
    *(
        Verb(f"{RELOAD}{name}", partial(_hot, change), (Takes.SERVICE, takes))
        for name, (change, takes) in CHANGES.items()
    ),
    Verb(f"{RELOAD}stage", reload_stage, (Takes.SITE, Takes.STAGE)),
    Verb(f"{RELOAD}leave", reload_leave, (Takes.SITE,)),
    Verb(f"{RELOAD}join", reload_join, (Takes.SITE,)),
)


def draw_lease(fate: Fate) -> tuple[str, str]:
    """Other times, with a fence at least as long: `saling-agent doctor` measures what it needs."""
    service = fate.service()
    needed_ms = service.spec.terms.fence_budget_ms
    fit = [name for name, terms in SHORT.items() if terms.fence_budget_ms >= needed_ms]
    return service.name, fate.choice(fit)


def draw_protection(fate: Fate) -> tuple[str, str]:
    """Sync or async, perhaps what it is already."""
    return fate.service().name, fate.choice(list(Protection)).value


def draw_backup_loss(fate: Fate) -> tuple[str, str]:
    """To wait or not, perhaps what it is already."""
    return fate.service().name, fate.choice(list(BackupLoss)).value


def draw_loss_bound(fate: Fate) -> tuple[str, str]:
    """Half of it or twice as much."""
    service = fate.service()
    bound_bytes = fate.world.controller.declared(service.uid).loss_bound_bytes
    return service.name, str(bound_bytes * fate.choice((1, 4)) // 2)


def draw_stage(fate: Fate) -> list[Strike]:
    """A site is suspended or planned; a while later it is in use again."""
    site, stage = fate.site(), fate.choice((Stage.SUSPENDED, Stage.SUSPENDED, Stage.PLANNED))
    back = fate.strike(f"{RELOAD}stage", site, Stage.ACTIVE.value, after_ms=fate.duration_ms())
    return [fate.strike(f"{RELOAD}stage", site, stage.value), back]


def draw_leave(fate: Fate) -> list[Strike]:
    """A backup is taken out of the file, mostly after its primary was let stand alone for it, and
    put back a while later."""
    service = fate.service()
    record = fate.record(service)
    if record is None or not record.backup:
        return []
    begin = Kind.BEGIN_MAINTENANCE.value
    leaves_ms = fate.between(500, 3000)
    joins_ms = leaves_ms + fate.duration_ms()
    strikes = [
        fate.strike(f"{RELOAD}leave", record.backup, after_ms=leaves_ms),
        fate.strike(f"{RELOAD}join", record.backup, after_ms=joins_ms),
    ]
    if fate.chance(0.8):
        alone = [fate.strike(begin, one.name, for_ms=20_000) for one in fate.world.services]
        return [*alone, *strikes]
    return strikes


DRAWN = {
    "lease": draw_lease,
    "protection": draw_protection,
    "backup_loss": draw_backup_loss,
    "loss_bound": draw_loss_bound,
}


def _draw_cold(name: str) -> Draw:
    def draw(fate: Fate) -> list[Strike]:
        victim, value = DRAWN[name](fate)
        down_ms = fate.between(20, 2000)
        return [fate.strike(COLD + name.replace("_", "-"), victim, value, for_ms=down_ms)]

    return draw


def _draw_hot(name: str) -> Draw:
    def draw(fate: Fate) -> list[Strike]:
        return [fate.strike(RELOAD + name.replace("_", "-"), *DRAWN[name](fate))]

    return draw


DRAWS: dict[str, Draw] = {
    **{f"configure_{name}": _draw_cold(name) for name in DRAWN},
    **{f"reload_{name}": _draw_hot(name) for name in DRAWN},
    "reload_stage": draw_stage,
    "reload_leave": draw_leave,
}
