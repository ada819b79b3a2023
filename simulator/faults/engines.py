"""Faults of databases: they crash, hang, lag, fail to commit, or cannot be mended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.core.model import JobKind
from controller.core.events import Kind
from simulator.faults.base import Draw, Takes, Verb
from simulator.strike import Strike

if TYPE_CHECKING:
    from simulator.fate import Fate
    from simulator.world import World


def crash_engine(world: World, strike: Strike) -> None:
    """The engine dies by itself, its guard lives."""
    site, name = strike.on
    host, service = world.host(site), world.service(name)
    guard = host.guards.get(service.uid)
    if guard and guard.alive and host.up and not host.frost.frozen:
        guard.crash_engine()


def hang_engine(world: World, strike: Strike) -> None:
    """Its disk does not answer."""
    site, name = strike.on
    world.service(name).engines[site].hung_until_ms = strike.until_ms


def fail_commits(world: World, strike: Strike) -> None:
    """Commits fail for a reason of this copy alone, such as a full disk."""
    site, name = strike.on
    world.service(name).engines[site].local_illness_until_ms = strike.until_ms


def fail_commits_everywhere(world: World, strike: Strike) -> None:
    """Commits fail for a reason that every copy shares, such as a read-only setting."""
    for engine in world.service(strike.on[0]).engines.values():
        engine.shared_illness_until_ms = strike.until_ms


def hang_promotion(world: World, strike: Strike) -> None:
    """A promotion comes to no end; given up by then, it may still come to one."""
    _stick(world, strike, JobKind.PROMOTE)


def lengthen_recovery(world: World, strike: Strike) -> None:
    """A start comes to no end, for crash recovery takes much longer than its log promised."""
    _stick(world, strike, JobKind.START_PRIMARY)
    _stick(world, strike, JobKind.START_STANDBY)


def fail_rewind(world: World, strike: Strike) -> None:
    """A copy that diverged cannot be mended: all is copied anew, and nothing is whole till then."""
    site, name = strike.on
    world.service(name).engines[site].rewind_fails_until_ms = strike.until_ms


def slow_stream(world: World, strike: Strike) -> None:
    """A copy receives less than is written, and falls behind."""
    site, name = strike.on
    world.service(name).engines[site].slow_stream_until_ms = strike.until_ms


def _stick(world: World, strike: Strike, kind: JobKind) -> None:
    site, name = strike.on
    world.service(name).engines[site].stuck_until_ms[kind] = strike.until_ms


VERBS = (
    Verb("crash-engine", crash_engine, (Takes.SITE, Takes.SERVICE)),
    Verb("hang-engine", hang_engine, (Takes.SITE, Takes.SERVICE)),
    Verb("fail-commits", fail_commits, (Takes.SITE, Takes.SERVICE)),
    Verb("fail-commits-everywhere", fail_commits_everywhere, (Takes.SERVICE,)),
    Verb("hang-promotion", hang_promotion, (Takes.SITE, Takes.SERVICE)),
    Verb("lengthen-recovery", lengthen_recovery, (Takes.SITE, Takes.SERVICE)),
    Verb("fail-rewind", fail_rewind, (Takes.SITE, Takes.SERVICE)),
    Verb("slow-stream", slow_stream, (Takes.SITE, Takes.SERVICE)),
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


def draw_fail_commits_everywhere(fate: Fate) -> list[Strike]:
    """Of one service."""
    name = fate.service().name
    return [fate.strike("fail-commits-everywhere", name, for_ms=fate.duration_ms())]


def draw_hang_promotion(fate: Fate) -> list[Strike]:
    """Of a backup that is about to be promoted, more often than not."""
    service = fate.service()
    record = fate.record(service)
    if record is None or not fate.may_strike(record.backup):
        return []
    hang = fate.strike("hang-promotion", record.backup, service.name, for_ms=fate.duration_ms())
    if fate.chance(0.3):
        return [hang]
    return [hang, fate.strike(Kind.SWITCHOVER.value, service.name)]


def draw_lengthen_recovery(fate: Fate) -> list[Strike]:
    """Of one copy that dies now or is down already."""
    copy = fate.copy()
    long = fate.strike("lengthen-recovery", *copy, for_ms=fate.duration_ms())
    return [long, fate.strike("crash-engine", *copy)]


def draw_fail_rewind(fate: Fate) -> list[Strike]:
    """Of one copy."""
    return [fate.strike("fail-rewind", *fate.copy(), for_ms=5 * fate.duration_ms())]


def draw_slow_stream(fate: Fate) -> list[Strike]:
    """To a backup."""
    service = fate.service()
    record = fate.record(service)
    if record is None or not fate.may_strike(record.backup):
        return []
    slow_ms = fate.duration_ms()
    return [fate.strike("slow-stream", record.backup, service.name, for_ms=slow_ms)]


DRAWS: dict[str, Draw] = {
    "engine_crash": draw_crash_engine,
    "engine_hang": draw_hang_engine,
    "engine_local": draw_fail_commits,
    "engine_shared": draw_fail_commits_everywhere,
    "promotion_hangs": draw_hang_promotion,
    "recovery_long": draw_lengthen_recovery,
    "rewind_fails": draw_fail_rewind,
    "stream_slow": draw_slow_stream,
}
