"""A sync service loses its backup and has it back: who may be acknowledged, and in which order.

Three are looked at on one clock: what the store says (its history, and the controller's journal),
what the primary's engine waits for (asked over its socket, again and again), and what clients are
told. A write that was begun when no process of the backup's site was left has one copy alone:

    alone   none is acknowledged before the store says ALONE, and the engine is relaxed only then
    block   none is acknowledged before the site is started again, and the store never says ALONE

Back, the service is PROTECTED only when the engine waits for its backup again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import msgspec

from config.loader import load_topology
from controller.core.events import ReportCame
from controller.journal import EventLine, files, numbered
from lab.base.plan import agent_of
from lab.base.processes import pids_of
from lab.base.records import Insert, now_ms
from lab.clients.crowd import HOW_MANY, Crowd
from lab.incidents.incident import Watch, acked, act, numbers_at_primary, seconds
from lab.incidents.judged import Judged, judged
from lab.incidents.loyal import AS_FAST_AS_IT_CAN
from lab.incidents.same_rows import difference
from lab.judging.checks import loss
from lab.running.four_sites import Lab

LOOK_EVERY_S = 0.005
LOOK_AGAIN_S = 0.01
GONE_S = 10.0
AWAY_S = 10.0
WAITS_SQL = "SELECT current_setting('synchronous_standby_names') <> ''"
ALONE, PROTECTED = "ALONE", "PROTECTED"


@dataclass(frozen=True)
class Look:
    """Whether the engine's commits waited for a copy, at a moment between these two."""

    start_ms: float
    end_ms: float
    waits: bool


@dataclass
class Engine:
    """The primary's engine, asked all the time."""

    looks: list[Look] = field(default_factory=list)

    async def watch(self, connection: asyncpg.Connection) -> None:
        """Until cancelled."""
        while True:
            start_ms = now_ms()
            waits = bool(await connection.fetchval(WAITS_SQL))
            self.looks.append(Look(start_ms, now_ms(), waits))
            await asyncio.sleep(LOOK_EVERY_S)

    def relaxed_ms(self, since_ms: float) -> float | None:
        """When it was first seen to wait for nobody, at the latest; None when it never was."""
        ends = [look.end_ms for look in self.looks if look.start_ms > since_ms and not look.waits]
        return min(ends, default=None)

    def waits_since_ms(self) -> float | None:
        """Since when all looks saw it wait, at the earliest; None when the last one did not."""
        since_ms = None
        for look in reversed(self.looks):
            if not look.waits:
                break
            since_ms = look.start_ms
        return since_ms


@dataclass
class Times:
    """Of one absence, on the boot-time clock; None for what did not come."""

    dead_ms: float = 0.0
    """No process of the backup's site was left."""
    back_ms: float = 0.0
    """It was about to be started again."""
    alone_ms: float | None = None
    """The store said so."""
    protected_ms: float | None = None
    """Likewise, the last time."""
    first_ack_ms: float | None = None
    """Of a write that was begun after the backup was dead."""


async def backup_lost(watch: Watch[Lab], away_s: float = AWAY_S, clients: int = HOW_MANY) -> Judged:
    """The backup's site is killed and started again later. Raises TimeoutError."""
    lab, service = watch.lab, watch.service
    blocks = lab.plan.service(service).backup_loss == "block"
    primary = await lab.primary_site(service)
    backup = next(site for site in lab.plan.service(service).sites if site != primary)
    before = await lab.last_known(service)
    crowd = Crowd(lab, service, clients=clients, rate_per_s=AS_FAST_AS_IT_CAN)
    times = Times()

    async def kill() -> None:
        lab.kill_site(backup)
        await _until_gone(lab, backup)
        times.dead_ms = now_ms()

    async def end() -> None:
        if not blocks:
            await lab.wait_for_phase(service, ALONE)
        await asyncio.sleep(away_s)
        times.back_ms = now_ms()
        lab.start_site(backup)
        await lab.wait_until_whole(service)
        await crowd.wait_for_writes()

    name = f"sync, {'block' if blocks else 'alone'}: backup killed and returned"
    async with crowd, _asked(lab, service, primary) as engine:
        done = await act(watch, name, kill, end)
        seen = await lab.last_known(service)
        inserts = [*watch.inserts(), *(i for client in crowd.clients() for i in client)]
    lost = len(loss(inserts, await numbers_at_primary(lab, service)).lost)
    done = msgspec.structs.replace(done, acked_lost=lost)
    await _stored(lab, service, times)
    times.first_ack_ms = _first_ack_ms(inserts, times.dead_ms)
    broken = [await difference(lab, service)]
    if (seen["epoch"], seen["primary"]) != (before["epoch"], before["primary"]):
        broken.append("the service was moved")
    broken += broken_order(times, engine, blocks)
    journal = _journal_order(lab, service, primary, times.dead_ms)
    broken += [] if journal.protected_after_sync else ["the journal has PROTECTED before sync"]
    notes = [_note(times, engine, blocks), str(journal)]
    watch.quiet_since_ms = now_ms()
    return judged(done, [text for text in broken if text], notes)


def broken_order(times: Times, engine: Engine, blocks: bool) -> list[str]:
    """What was in another order than it must be; nothing when all is well."""
    found = _blocked(times, engine) if blocks else _stood_alone(times, engine)
    return found + _armed(times, engine)


def _stood_alone(times: Times, engine: Engine) -> list[str]:
    relaxed_ms = engine.relaxed_ms(times.dead_ms)
    if times.alone_ms is None or relaxed_ms is None or times.first_ack_ms is None:
        return ["it never stood alone and wrote"]
    found = []
    if relaxed_ms < times.alone_ms:
        found.append(f"the engine was relaxed {times.alone_ms - relaxed_ms:.0f} ms before ALONE")
    if times.first_ack_ms < times.alone_ms:
        early_ms = times.alone_ms - times.first_ack_ms
        found.append(f"a write of one copy was acknowledged {early_ms:.0f} ms before ALONE")
    return found


def _blocked(times: Times, engine: Engine) -> list[str]:
    found = []
    if times.alone_ms is not None:
        found.append("it stood alone, though it must block")
    if engine.relaxed_ms(times.dead_ms) is not None:
        found.append("its engine was relaxed")
    if times.first_ack_ms is None or times.first_ack_ms < times.back_ms:
        found.append("a write of one copy was acknowledged, or none ever was again")
    return found


def _armed(times: Times, engine: Engine) -> list[str]:
    waits_ms = engine.waits_since_ms()
    if times.protected_ms is None and times.alone_ms is None:
        return []
    if waits_ms is None or times.protected_ms is None or waits_ms > times.protected_ms:
        return ["the backup was eligible before the engine waited for it"]
    return []


def _first_ack_ms(inserts: list[Insert], dead_ms: float) -> float | None:
    ends = [i.end_ms for i in inserts if acked(i) and i.start_ms > dead_ms]
    return min(ends, default=None)


async def _stored(lab: Lab, service: str, times: Times) -> None:
    """When the store was changed, by its own history, whose wall clock is this machine's."""
    wall_ahead_ms = time.time() * 1000 - now_ms()
    for entry in reversed(await lab.decisions(service)):
        at_ms = entry["at_ms"] - wall_ahead_ms
        if at_ms < times.dead_ms - 1000:
            continue
        told = entry["transition"]
        if told["to_phase"] == ALONE and told["from_phase"] != ALONE:
            times.alone_ms = at_ms if times.alone_ms is None else times.alone_ms
        if told["to_phase"] == PROTECTED and told["from_phase"] != PROTECTED:
            times.protected_ms = at_ms


@dataclass(frozen=True)
class JournalOrder:
    """Places in the controller's journal, counted from the backup's death; None: not there."""

    alone: int | None
    """The change to ALONE."""
    sync: int | None
    """The primary's first report after it that a copy is waited for and streams."""
    protected: int | None
    """The change to PROTECTED."""

    @property
    def protected_after_sync(self) -> bool:
        """True as well where nothing was left, so that nothing came back."""
        if self.alone is None:
            return True
        return None not in (self.sync, self.protected) and self.sync < self.protected  # type: ignore[operator]

    def __str__(self) -> str:
        if self.alone is None:
            return "the journal has no change to ALONE"
        return (
            f"the journal's lines after the loss: ALONE in {self.alone}, the primary reports sync "
            f"in {self.sync}, PROTECTED in {self.protected}"
        )


def _journal_order(lab: Lab, service: str, primary: str, since_ms: float) -> JournalOrder:
    directory = load_topology(lab.plan.topology_file).value.journal.directory
    each = (line for path in files(directory) for _, _, line in numbered(path))
    lines = [one for one in each if isinstance(one, EventLine)]
    alone = sync = protected = None
    for place, line in enumerate(one for one in lines if one.now_ms >= since_ms - 1000):
        for change in line.decided.changes if line.decided else ():
            if change.service == service and change.to_phase == ALONE != change.from_phase:
                alone = place if alone is None else alone
            if change.service == service and change.to_phase == PROTECTED != change.from_phase:
                protected = place
        if alone is not None and sync is None and _says_sync(line, service, agent_of(primary)):
            sync = place
    return JournalOrder(alone, sync, protected)


def _says_sync(line: EventLine, service: str, agent: str) -> bool:
    if not isinstance(line.event, ReportCame) or line.event.report.header.sender != agent:
        return False
    return any(r.sync_active for r in line.event.report.replicas if r.service == service)


def _note(times: Times, engine: Engine, blocks: bool) -> str:
    def after(moment_ms: float | None, since_ms: float) -> str:
        return "never" if moment_ms is None else f"{seconds(moment_ms - since_ms):.2f} s"

    relaxed_ms = engine.relaxed_ms(times.dead_ms)
    if blocks:
        return (
            f"away for {after(times.back_ms, times.dead_ms)}; the first write begun after its "
            f"death was acknowledged {after(times.first_ack_ms, times.back_ms)} after its start"
        )
    return (
        f"after the backup's death: ALONE in the store after {after(times.alone_ms, times.dead_ms)}"
        f", the engine seen relaxed after {after(relaxed_ms, times.dead_ms)}, the first write of "
        f"one copy acknowledged after {after(times.first_ack_ms, times.dead_ms)}; back, the engine "
        f"waited {after(times.protected_ms, engine.waits_since_ms() or 0)} before PROTECTED"
    )


async def _until_gone(lab: Lab, site: str) -> None:
    until_s = asyncio.get_running_loop().time() + GONE_S
    while left := pids_of(lab.plan.site_directory(site)):
        if asyncio.get_running_loop().time() > until_s:
            raise TimeoutError(f"{site}: processes live on after the kill: {left}")
        await asyncio.sleep(LOOK_AGAIN_S)


@asynccontextmanager
async def _asked(lab: Lab, service: str, site: str) -> AsyncIterator[Engine]:
    engine = Engine()
    connection = await lab.as_superuser(service, site)
    asking = asyncio.create_task(engine.watch(connection), name=f"asks the engine of {site}")
    try:
        yield engine
    finally:
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        connection.terminate()
