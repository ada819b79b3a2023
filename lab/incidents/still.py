"""What stands still in a primary's site while the rest of it runs: its agent alone, or more.

Clients stay with the old primary over TCP and over its unix socket (`lab.incidents.loyal`), so that
whatever it still acknowledges is counted by the way it was reached. `lab.incidents.unkind` gives
the figures."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterable
from typing import Any

import msgspec

from lab.base.processes import pids_of
from lab.faults.stuck import StuckEngine
from lab.incidents.incident import Watch
from lab.incidents.loyal import SOCKET, TCP
from lab.incidents.unkind import Fault, Unkind, told
from lab.incidents.witness import Witness
from lab.running.four_sites import Lab
from lab.running.freezing import family_of
from lab.running.ground import UnkindGround

PATIENCE_S = 10.0
"""For so long clients wait beyond the end of the fault."""
ENGINE_FIRST_S = 1.0


async def agent_stopped(lab: Lab, watch: Watch[Any], hold_s: float) -> Unkind:
    """The primary's agent alone is stopped, and goes on later; engine and guard run."""
    site = await lab.primary_site(watch.service)
    agent = [lab.agents[site].pid]

    async def stop() -> None:
        send_all(agent, signal.SIGSTOP)

    async def go_on() -> None:
        send_all(agent, signal.SIGCONT)

    fault = Fault("primary's agent stopped", stop, go_on)
    async with Witness(watch, site, hold_s + PATIENCE_S) as witness:
        try:
            return _moved(await told(watch, witness, hold_s, fault))
        finally:
            await go_on()


async def guard_and_agent_stopped(lab: Lab, watch: Watch[Any], hold_s: float) -> Unkind:
    """The primary's guard and agent are stopped at once, and its engine runs on."""
    site = await lab.primary_site(watch.service)
    pids = [*lab.guards(watch.service, site), lab.agents[site].pid]

    async def stop() -> None:
        send_all(pids, signal.SIGSTOP)

    async def go_on() -> None:
        send_all(pids, signal.SIGCONT)

    fault = Fault("primary's guard and agent stopped", stop, go_on)
    async with Witness(watch, site, hold_s + PATIENCE_S) as witness:
        try:
            seen = await told(watch, witness, hold_s, fault)
        finally:
            await go_on()
    # Over its unix socket the engine goes on beyond its lease: that is the figure, and no surprise.
    return _kept_out(msgspec.structs.replace(seen, lease_margin_s=None), {TCP})


async def site_frozen(lab: UnkindGround, watch: Watch[Any], hold_s: float) -> Unkind:
    """The primary's whole site stands still but for its clients, and goes on, children first."""
    site = await lab.primary_site(watch.service)

    async def thaw() -> None:
        lab.thaw_site(site)

    name = _named("site frozen, its clients not", lab, watch.service)
    fault = Fault(name, lambda: lab.freeze_site(site), thaw)
    return await _frozen(lab, watch, hold_s, site, fault)


async def engine_first(lab: Lab, watch: Watch[Any], hold_s: float) -> Unkind:
    """Likewise, but its engine goes on a second before its guard and its agent do."""
    site = await lab.primary_site(watch.service)
    fault = Fault(
        _named("site frozen, its engine thawed 1 s before its guard", lab, watch.service),
        lambda: lab.freeze_site(site),
        lambda: _thaw_engine_first(lab, watch.service, site),
    )
    return await _frozen(lab, watch, hold_s, site, fault)


async def engine_stuck(lab: Lab, watch: Watch[Any], hold_s: float) -> Unkind:
    """The primary's engine is in uninterruptible sleep, and no kill ends it; then it is let go."""
    site = await lab.primary_site(watch.service)

    async def stick() -> None:
        stuck.stick()

    async def release() -> None:
        stuck.release()

    fault = Fault("engine in uninterruptible sleep", stick, release)
    with StuckEngine(lab.plan.data_directory(site) / watch.service) as stuck:
        async with Witness(watch, site, hold_s + PATIENCE_S) as witness:
            seen = await told(watch, witness, hold_s, fault)
    return _kept_out(seen, {TCP, SOCKET})


async def _frozen(
    lab: UnkindGround, watch: Watch[Any], hold_s: float, site: str, fault: Fault
) -> Unkind:
    async with Witness(watch, site, hold_s + PATIENCE_S) as witness:
        try:
            seen = await told(watch, witness, hold_s, fault)
        finally:
            lab.thaw_site(site)
    if not isinstance(lab, Lab):
        # A peer promises nothing of it.
        return seen
    # Without the kernel's door nobody promises what an engine does that wakes before its guard.
    ways = {TCP} if _has_door(lab, watch.service) else set()
    return _kept_out(seen, ways, _is_sync(lab, watch.service))


def _named(text: str, lab: UnkindGround, service: str) -> str:
    """By what a row is told from those of other services; a peer's is named as ours."""
    prefix = "sync: " if _is_sync(lab, service) else ""
    bare = isinstance(lab, Lab) and not _has_door(lab, service)
    return f"{prefix}{text}{', no door of the kernel' if bare else ''}"


def _is_sync(lab: UnkindGround, service: str) -> bool:
    return lab.plan.service(service).protection == "sync"


def _has_door(lab: UnkindGround, service: str) -> bool:
    return lab.plan.service(service).fences.get("nftables") == "required"


async def _thaw_engine_first(lab: Lab, service: str, site: str) -> None:
    directory = lab.plan.site_directory(site)
    held = {lab.agents[site].pid, *lab.guards(service, site)}
    engine = [pid for pid in family_of(pids_of(directory)) if pid not in held]
    send_all(reversed(engine), signal.SIGCONT)
    await asyncio.sleep(ENGINE_FIRST_S)
    lab.thaw_site(site)


def _kept_out(seen: Unkind, ways: set[str], sync: bool = False) -> Unkind:
    """With what must not be: no takeover, an acknowledgement after it by one of these ways, or in
    sync mode by any way one of a write that is lost."""
    found = [] if seen.failed_over else ["nothing failed over"]
    found += [
        f"{one.acked_after_promotion} writes acknowledged over {one.way} after the takeover"
        for one in seen.ways
        if one.way in ways and one.acked_after_promotion
    ]
    found += [
        f"{one.lost_after_promotion} of the writes acknowledged over {one.way} are lost"
        for one in seen.ways
        if sync and one.lost_after_promotion
    ]
    return msgspec.structs.replace(seen, broken="; ".join(found))


def send_all(pids: Iterable[int], number: signal.Signals) -> None:
    """To each that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _moved(seen: Unkind) -> Unkind:
    """With what must not be where a takeover is due: none, or two writers."""
    two_writers_s = seen.act_and_after().two_writers_s
    found = [] if seen.failed_over else ["nothing failed over"]
    if two_writers_s:
        found.append(f"two writers for {two_writers_s} s")
    return msgspec.structs.replace(seen, broken="; ".join(found))
