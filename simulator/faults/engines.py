"""Faults of databases: they crash, hang, or fail to commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.core.model import JobKind
from controller.core.model import Phase, Protection
from controller.core.moment.loss import proven_bytes
from protocol.messages import Role
from simulator.faults.base import Draw, Takes, Verb
from simulator.faults.hosts import BOOT_MS
from simulator.strike import Strike

if TYPE_CHECKING:
    from simulator.fate import Fate
    from simulator.parts.service import Service
    from simulator.world import World

AT_REST = (Phase.PROTECTED, Phase.ALONE)


def crash_engine(world: World, strike: Strike) -> None:
    """The engine dies by itself, its guard lives."""
    site, name = strike.on
    host, service = world.host(site), world.service(name)
    guard = host.guards.get(service.uid)
    if guard and guard.alive and host.up:
        guard.crash_engine()


def hang_engine(world: World, strike: Strike) -> None:
    """Its disk does not answer."""
    site, name = strike.on
    world.service(name).engines[site].hung_until_ms = strike.until_ms


def stick_engine(world: World, strike: Strike) -> None:
    """Its disk does not answer, and its processes hang in the kernel: no kill ends them."""
    site, name = strike.on
    engine = world.service(name).engines[site]
    engine.hung_until_ms = engine.unkillable_until_ms = strike.until_ms


def fail_commits(world: World, strike: Strike) -> None:
    """Commits fail for a reason of this copy alone, such as a full disk."""
    site, name = strike.on
    world.service(name).engines[site].local_illness_until_ms = strike.until_ms


def fail_commits_everywhere(world: World, strike: Strike) -> None:
    """Commits fail for a reason that every copy shares, such as a read-only setting."""
    for engine in world.service(strike.on[0]).engines.values():
        engine.shared_illness_until_ms = strike.until_ms


def slow_recovery(world: World, strike: Strike) -> None:
    """A start ends no sooner: there is much log to replay."""
    _stick(world, strike, JobKind.START_PRIMARY, JobKind.START_STANDBY)


def hang_promotion(world: World, strike: Strike) -> None:
    """A promotion ends no sooner."""
    _stick(world, strike, JobKind.PROMOTE)


def _stick(world: World, strike: Strike, *kinds: JobKind) -> None:
    site, name = strike.on
    for kind in kinds:
        world.service(name).engines[site].stuck_until_ms[kind] = strike.until_ms


def fail_rewinds(world: World, strike: Strike) -> None:
    """The log that a rewind needs is gone: only a whole copy helps."""
    site, name = strike.on
    world.service(name).engines[site].rewind_fails_until_ms = strike.until_ms


def make_unfit(world: World, strike: Strike) -> None:
    """As a standby it lacks what its primary has: a setting, an extension, a collation."""
    site, name = strike.on
    world.service(name).engines[site].unfit_until_ms = strike.until_ms


def unfence(world: World, strike: Strike) -> None:
    """A layer of the fence that its host requires does not hold."""
    site, name = strike.on
    world.service(name).engines[site].unfenced_until_ms = strike.until_ms


def cancel_waits(world: World, strike: Strike) -> None:
    """Sessions that wait for the backup are cancelled; what they wrote stays at the primary."""
    site, name = strike.on
    world.service(name).engines[site].cancel_waits()


def _was_seen_beyond(world: World, service: Service, position: int) -> bool:
    """Whether the controller heard that the backup has more: else no rule could know it."""
    state = world.controller.state
    if state is None:
        return False
    known = state.services[service.uid]
    return known.record.protection is Protection.ASYNC or proven_bytes(known) > position


def put_back(world: World, strike: Strike) -> None:
    """A host crashes at the end, and its volume comes back as it was at the beginning; soon, or
    after so many ms.

    Only while the copy is a standby of a primary that serves, and to less than it was heard to
    have: what a primary's own volume forgets, or one that is put back within a takeover, no rule
    brings back.
    """
    site, name, *away_ms = strike.on
    boot_ms = int(away_ms[0]) if away_ms else BOOT_MS
    service = world.service(name)
    copy = service.engines[site]
    timeline, position = copy.timeline, copy.position

    def restore() -> None:
        record = world.controller.store.records.get(service.uid)
        host = world.host(site)
        if record is None or record.primary == site or record.phase not in AT_REST:
            return
        if record.phase is Phase.PROTECTED and not _was_seen_beyond(world, service, position):
            return
        older = copy.history.follows(timeline, position, copy.timeline, copy.position)
        if copy.role is not Role.STANDBY or not host.up or not position or not older:
            return
        host.crash()
        copy.older_copy(timeline, position)
        world.kernel.after(boot_ms, host.boot)

    world.kernel.at(strike.until_ms, restore)


VERBS = (
    Verb("cancel-waits", cancel_waits, (Takes.SITE, Takes.SERVICE)),
    Verb("put-back", put_back, (Takes.SITE, Takes.SERVICE), (Takes.NUMBER,), must_end=True),
    Verb("unfence", unfence, (Takes.SITE, Takes.SERVICE)),
    Verb("unfit", make_unfit, (Takes.SITE, Takes.SERVICE)),
    Verb("crash-engine", crash_engine, (Takes.SITE, Takes.SERVICE)),
    Verb("hang-engine", hang_engine, (Takes.SITE, Takes.SERVICE)),
    Verb("stick-engine", stick_engine, (Takes.SITE, Takes.SERVICE)),
    Verb("slow-recovery", slow_recovery, (Takes.SITE, Takes.SERVICE)),
    Verb("hang-promotion", hang_promotion, (Takes.SITE, Takes.SERVICE)),
    Verb("fail-rewinds", fail_rewinds, (Takes.SITE, Takes.SERVICE)),
    Verb("fail-commits", fail_commits, (Takes.SITE, Takes.SERVICE)),
    Verb("fail-commits-everywhere", fail_commits_everywhere, (Takes.SERVICE,)),
)


def draw_crash_engine(fate: Fate) -> list[Strike]:
    """Of one copy."""
    return [fate.strike("crash-engine", *fate.copy())]


def draw_hang_engine(fate: Fate) -> list[Strike]:
    """Of one copy."""
    return [fate.strike("hang-engine", *fate.copy(), for_ms=fate.duration_ms())]


def draw_fail_commits(fate: Fate) -> list[Strike]:
    """Of one copy."""
    return [fate.strike("fail-commits", *fate.copy(), for_ms=fate.duration_ms())]


def _draw_copy(verb: str) -> Draw:
    return lambda fate: [fate.strike(verb, *fate.copy(), for_ms=fate.duration_ms())]


def draw_fail_commits_everywhere(fate: Fate) -> list[Strike]:
    """Of one service."""
    name = fate.service().name
    return [fate.strike("fail-commits-everywhere", name, for_ms=fate.duration_ms())]


def draw_put_back(fate: Fate) -> list[Strike]:
    """Of a backup, to a copy that is older than a report; often the primary is lost right after."""
    service = fate.service()
    record = fate.record(service)
    if record is None or not fate.may_strike(record.backup):
        return []
    for_ms = fate.between(2000, 6000)
    strikes = [fate.strike("put-back", record.backup, service.name, for_ms=for_ms)]
    if fate.chance(0.6):
        after_ms = for_ms + fate.between(1, 700)
        strikes.append(fate.strike("crash-host", record.primary, for_ms=6000, after_ms=after_ms))
    return strikes


DRAWS: dict[str, Draw] = {
    "engine_crash": draw_crash_engine,
    "engine_hang": draw_hang_engine,
    "engine_stuck": _draw_copy("stick-engine"),
    "engine_local": draw_fail_commits,
    "recovery_slow": _draw_copy("slow-recovery"),
    "promotion_hang": _draw_copy("hang-promotion"),
    "engine_unfit": _draw_copy("unfit"),
    "engine_unfenced": _draw_copy("unfence"),
    "rewind_fails": _draw_copy("fail-rewinds"),
    "engine_shared": draw_fail_commits_everywhere,
    "waits_cancelled": _draw_copy("cancel-waits"),
    "put_back": draw_put_back,
}
