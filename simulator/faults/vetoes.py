"""Operators of hosts who forbid that their role changes, at good moments and bad ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.faults.base import Draw, Takes, Verb
from simulator.faults.hosts import BOOT_MS
from simulator.strike import Strike

if TYPE_CHECKING:
    from simulator.fate import Fate
    from simulator.world import World


def veto(world: World, strike: Strike) -> None:
    """`saling-agent hold` on that host, where its agent lives."""
    process = world.host(strike.on[0]).process
    if process is not None and strike.for_ms:
        process.veto.ask(strike.for_ms)


def release_veto(world: World, strike: Strike) -> None:
    """`saling-agent release` there."""
    process = world.host(strike.on[0]).process
    if process is not None:
        process.veto.release()


VERBS = (
    Verb("veto", veto, (Takes.SITE,)),
    Verb("release-veto", release_veto, (Takes.SITE,)),
)


def draw_veto(fate: Fate) -> list[Strike]:
    """Beside a move, a loss of either copy, or a restart of the agent: before it or after."""
    service = fate.service()
    record = fate.record(service)
    if record is None:
        return []
    host = fate.choice((record.backup, record.backup, record.primary))
    lasts_ms, after_ms = fate.between(1000, 40_000), fate.between(0, 2000)
    strikes = [fate.strike("veto", host, for_ms=lasts_ms, after_ms=after_ms)]
    beside = fate.choice(("switchover", "failover", "crash-host", "kill-agent", "isolate"))
    if beside in ("switchover", "failover"):
        strikes.append(fate.strike(beside, service.name, after_ms=fate.between(0, 2000)))
    elif fate.may_strike(record.primary):
        whom = host if beside == "kill-agent" else record.primary
        length_ms = fate.duration_ms() + BOOT_MS
        strikes.append(fate.strike(beside, whom, for_ms=length_ms, after_ms=fate.between(0, 3000)))
    if fate.chance(0.3):
        strikes.append(fate.strike("release-veto", host, after_ms=after_ms + fate.duration_ms()))
    return strikes


def draw_release(fate: Fate) -> list[Strike]:
    return [fate.strike("release-veto", fate.site())]


DRAWS: dict[str, Draw] = {"veto": draw_veto, "release_veto": draw_release}
