"""How a world ends: all faults heal, everything converges, and perhaps a site dies for good."""

from __future__ import annotations

from random import Random

from controller.core.events import Kind, PlanAct, PlanAsked, Requested
from controller.core.model import HeldFor, Phase
from controller.core.plan_model import PlanStatus
from simulator.checkers.convergence import CALM_MS, PATIENCE_MS, must_be_well, unwell
from simulator.checkers.plans import PLAN_PATIENCE_MS, goes_on, must_have_come_to_something
from simulator.parts.service import Service
from simulator.strike import Strike
from simulator.watch import Broken
from simulator.world import World

LOOK_MS = 250
TAKEOVER_SLACK_MS = 6000


def run_until_well(world: World) -> None:
    """Look until all was well for a while. Raises Broken when time is over."""
    _run_until_planned(world)
    kernel, records = world.kernel, world.controller.store.records
    declared = world.controller.declared
    end_ms = kernel.now_ms + PATIENCE_MS
    well_since_ms = -1
    while kernel.now_ms < end_ms:
        kernel.run_until(kernel.now_ms + LOOK_MS)
        _help(world)
        if any(unwell(s, records[s.uid], declared(s.uid)) for s in world.services):
            well_since_ms = -1
        elif well_since_ms < 0:
            well_since_ms = kernel.now_ms
        elif kernel.now_ms - well_since_ms >= CALM_MS:
            return
    for service in world.services:
        must_be_well(service, records[service.uid], declared(service.uid))


def _run_until_planned(world: World) -> None:
    """The plan under way is over, or waits: where nothing is wrong any more, it comes to that."""
    kernel = world.kernel
    end_ms = kernel.now_ms + PLAN_PATIENCE_MS
    while goes_on(world.controller.store.plans.values()) and kernel.now_ms < end_ms:
        kernel.run_until(kernel.now_ms + LOOK_MS)
        _help(world)
    must_have_come_to_something(world.controller.store.plans.values())


def let_a_site_die(world: World, dice: Random) -> None:
    """A primary's host dies for good, or its disk, while its agent and its connections live.

    Raises Broken when its partner does not serve in time.
    """
    kernel, records = world.kernel, world.controller.store.records
    service = dice.choice(world.services)
    record = records[service.uid]
    of_engine = (service.name,)
    dies, on = dice.choice(
        (("crash-host", ()), ("hang-engine", of_engine), ("stick-engine", of_engine))
    )
    world.strike(Strike(kernel.now_ms, dies, (record.primary, *on)))
    patience_ms = record.terms.ttl_ms * 102 // 100 + TAKEOVER_SLACK_MS
    end_ms = kernel.now_ms + patience_ms
    backup = service.engines[record.backup]
    while not backup.writable and kernel.now_ms < end_ms:
        kernel.run_until(kernel.now_ms + LOOK_MS)
    now = records[service.uid]
    if not backup.writable and now.phase is not Phase.HELD:
        raise Broken(
            "takeover",
            f"{record.primary} died for good {patience_ms / 1000:.1f} s ago and "
            f"{record.backup} serves not: {now.phase.value}, {now.because}",
        )


def _help(world: World) -> None:
    """The operators undo what they did, and decide what only they may."""
    if any(plan.status is PlanStatus.PAUSED for plan in world.controller.store.plans.values()):
        world.request(lambda id_: PlanAsked(id_, PlanAct.RESUME, "help"))
    for service in world.services:
        record = world.controller.store.records[service.uid]
        restored = record.phase is Phase.HELD and record.held_for is HeldFor.RESTORED
        if record.paused:
            _request(world, Kind.RESUME, service, record.epoch)
        elif record.hold:
            _request(world, Kind.RELEASE, service, record.epoch)
        elif restored:
            _request(world, Kind.APPROVE, service, record.epoch)


def _request(world: World, kind: Kind, service: Service, epoch: int) -> None:
    world.request(lambda id_: Requested(id_, kind, service.uid, "help", epoch=epoch))
