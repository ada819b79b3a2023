"""The unkind incidents: sites that are cut off, stand still and go on, roads cut one way.

Each takes a ground that is whole (`lab.running.ground.UnkindGround`: Saling's lab, or a peer set up
alike), a watch on one of its services, and how long the fault lasts at least; each ends when the
service is whole again by itself. The roads must be those of `lab.roads.namespaces` where a client
inside a site shall be cut off with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from agents.engines.base import Quarantined
from lab.base.records import Answer, Insert, Probe, now_ms
from lab.incidents.incident import (
    Act,
    Watch,
    acked,
    act,
    numbers_at_primary,
    seconds,
    two_writers_ms,
)
from lab.incidents.loyal import SETTLE_S, WaySeen, until_heard, ways_seen
from lab.incidents.same_rows import difference
from lab.incidents.witness import Witness
from lab.judging.checks import loss
from lab.judging.own_count import (
    PROBES_SQL,
    Kept,
    OwnCount,
    compared,
    own_count_of_probes,
    own_count_of_writes,
)
from lab.roads.network import Way
from lab.running.ground import Heard, UnkindGround

LOOK_AGAIN_S = 0.05
TAKEOVER_TIMEOUT_S = 90.0
BACK_S = 120.0
"""How long the service may be without writes after it was healed."""


class Unkind(msgspec.Struct, frozen=True, kw_only=True):
    """An incident's figures, and those that only a client in the faulty site can give."""

    act: Act
    """From the fault to its end; what came after the heal or the thaw is told below."""
    failed_over: bool
    lease_margin_s: float | None
    """From the faulty site's last acknowledgement to its lease's end: never below 0.

    Before the heal or the thaw; None where nothing failed over, and the lease went on, and
    where the system does not tell when a lease ends.
    """
    acked_inside: int
    """Writes acknowledged to the client in the faulty site during the fault."""
    lost_inside: int
    """Of all that were acknowledged to it, those that are absent in the end."""
    acked_after_thaw: int
    """Writes acknowledged by the thawed engine, to any client."""
    two_writers_s: float
    """During the fault, by the client inside too; `act` has what the others prove."""
    two_writers_after_s: float
    """From the heal or the thaw on."""
    lost_after: int
    """Acknowledged to the client outside after the heal or the thaw, and absent in the end."""
    whole_after_s: float
    """From the heal or the thaw until the service was PROTECTED again."""
    lag_bytes: int | None
    """The most that the backup was behind during the fault; None where nobody said so."""
    reasons: list[str]
    """What the service said of itself during the fault, each phase with its sentence."""
    kept: Kept | None
    """What the old primary put into quarantine at its return, and whether that is what the
    clients count as lost; None where nothing failed over or the system keeps none."""
    difference: str
    """What the backup's rows have other than the primary's in the end: see
    `lab.incidents.same_rows`."""
    mended_in: str
    """The phase of the service when the fault was mended, as last heard; empty where none is."""
    ways: tuple[WaySeen, ...] = ()
    """What the old primary acknowledged by each way of reaching it, where clients stayed with it;
    the writer outside and the prober are among those of TCP."""
    notes: tuple[str, ...] = ()
    """What else was seen, a sentence each."""
    broken: str = ""
    """What must not be in this incident alone; empty when all is well."""

    def wrong(self) -> str:
        """What no system that promises it may do; empty when all is well."""
        found = [self.broken, self.difference, self.kept.wrong if self.kept else ""]
        if self.lease_margin_s is not None and self.lease_margin_s < 0:
            found.append(
                f"the faulty site acknowledged a write {-self.lease_margin_s} s "
                "after its lease's end"
            )
        return "; ".join(f"{self.act.name}: {text}" for text in found if text)

    def act_and_after(self) -> Act:
        """The incident's figures as the client inside and what came after it make them."""
        two_writers_s = max(self.act.two_writers_s, self.two_writers_s, self.two_writers_after_s)
        lost = self.act.acked_lost + self.lost_after
        return msgspec.structs.replace(self.act, acked_lost=lost, two_writers_s=two_writers_s)


Scenario = Callable[[UnkindGround, Watch[Any], float], Awaitable[Unkind]]


async def primary_cut_off(lab: UnkindGround, watch: Watch[Any], hold_s: float) -> Unkind:
    """The primary's site is cut off from everybody, clients included, then healed."""
    return await _isolated(lab, watch, hold_s, "primary site cut off", "both")


async def primary_deaf(lab: UnkindGround, watch: Watch[Any], hold_s: float) -> Unkind:
    """Nothing reaches the primary's site; what it sends arrives."""
    return await _isolated(lab, watch, hold_s, "primary site deaf", "in")


async def primary_mute(lab: UnkindGround, watch: Watch[Any], hold_s: float) -> Unkind:
    """Nothing that the primary's site sends arrives; it hears everybody."""
    return await _isolated(lab, watch, hold_s, "primary site mute", "out")


async def primary_frozen(lab: UnkindGround, watch: Watch[Any], hold_s: float) -> Unkind:
    """The primary's site stands still, a client in it too, and goes on where it was."""
    site = await lab.primary_site(watch.service)
    async with Witness(watch, site) as witness:
        still = (witness.pid,)

        async def thaw() -> None:
            lab.thaw_site(site, still)

        fault = Fault("primary site frozen", lambda: lab.freeze_site(site, still), thaw)
        try:
            return await told(watch, witness, hold_s, fault)
        finally:
            await thaw()


async def partner_link_cut(lab: UnkindGround, watch: Watch[Any], hold_s: float) -> Unkind:
    """Only the road between primary and partner is cut; both reach the controller."""
    site = await lab.primary_site(watch.service)
    partner = next(s for s in lab.plan.service(watch.service).sites if s != site)
    fault = Fault("link to the partner cut", lambda: lab.links.cut(site, partner), lab.links.heal)
    async with Witness(watch, site) as witness:
        return await told(watch, witness, hold_s, fault)


SCENARIOS: dict[str, Scenario] = {
    "cut-off": primary_cut_off,
    "frozen": primary_frozen,
    "one-link": partner_link_cut,
    "deaf": primary_deaf,
    "mute": primary_mute,
}


async def _isolated(
    lab: UnkindGround, watch: Watch[Any], hold_s: float, name: str, way: Way
) -> Unkind:
    site = await lab.primary_site(watch.service)
    fault = Fault(name, lambda: lab.links.isolate(site, way=way), lab.links.heal)
    async with Witness(watch, site) as witness:
        return await told(watch, witness, hold_s, fault)


@dataclass
class Fault:
    """What is done and undone, and when."""

    name: str
    cause: Callable[[], Awaitable[Any]]
    undo: Callable[[], Awaitable[Any]]
    until_phase: str = ""
    """It is mended at once when the service is heard to be in this phase, if it is."""
    caused_ms: float = 0.0
    mended_ms: float = 0.0
    mended_in: str = ""

    async def begin(self) -> None:
        self.caused_ms = now_ms()
        await self.cause()

    async def mend(self, phase: str) -> None:
        """Once only, in this phase of the service."""
        if not self.mended_ms:
            self.mended_ms, self.mended_in = now_ms(), phase
            await self.undo()


async def told(watch: Watch[Any], witness: Witness, hold_s: float, fault: Fault) -> Unkind:
    """Cause the fault, hold it, mend it, wait until all is whole, and tell."""
    lab, service, site = watch.lab, watch.service, witness.site
    since_ms, kept_before = watch.quiet_since_ms, lab.quarantines(service, site)
    heard = _Hearsay(lab, service)

    async def end() -> None:
        await heard.listen(hold_s, fault.until_phase)
        if fault.until_phase:
            await fault.mend(heard.phase)
        if heard.primary_site not in ("", site):
            await heard.until_served()
        else:
            # The writer outside may reach nobody for as long as nothing moves.
            await fault.mend(heard.phase)
            await watch.wait_for_writes(wait_s=BACK_S)

    done = await act(watch, fault.name, fault.begin, end)
    margin_ms = _margin_ms(witness)
    await fault.mend(heard.phase)
    await lab.wait_until_whole(service)
    failed_over = await lab.primary_site(service) != site
    whole_ms = now_ms()
    await watch.wait_for_writes()
    await until_heard(witness.loyal, whole_ms, witness.patience_s + SETTLE_S)
    # The logs are read first: what is acknowledged after the rows were read is not lost.
    inside, outside, probes = witness.inserts(), watch.inserts(), watch.probes()
    present = await numbers_at_primary(lab, service)
    seen = _Seen(site, since_ms, inside, outside, probes, present)
    kept = await _kept(lab, service, seen, kept_before) if failed_over else None
    unlike = await difference(lab, service)
    watch.quiet_since_ms = now_ms()
    mended_ms = fault.mended_ms
    during_ms, after_ms = during_and_after_ms(probes, [*inside, *outside], service, fault)
    return Unkind(
        act=done,
        failed_over=failed_over,
        lease_margin_s=seconds(margin_ms) if failed_over and margin_ms is not None else None,
        acked_inside=sum(acked(i) and fault.caused_ms < i.end_ms < mended_ms for i in inside),
        lost_inside=len(loss(inside, present).lost),
        acked_after_thaw=_acked_after(watch, witness, mended_ms) if failed_over else 0,
        two_writers_s=seconds(during_ms),
        two_writers_after_s=seconds(after_ms),
        lost_after=len(loss([i for i in outside if i.start_ms > mended_ms], present).lost),
        whole_after_s=seconds(whole_ms - mended_ms),
        lag_bytes=heard.lag_bytes,
        reasons=heard.reasons,
        kept=kept,
        difference=unlike,
        mended_in=fault.mended_in,
        ways=_ways(witness, seen, fault, failed_over),
    )


def _ways(witness: Witness, seen: _Seen, fault: Fault, failed_over: bool) -> tuple[WaySeen, ...]:
    if not witness.loyal:
        return ()
    inserts = [*seen.outside, *seen.inside]
    lease_end_ms = witness.lease_end_ms if failed_over else None
    return ways_seen(
        seen.site,
        inserts,
        seen.probes,
        (fault.caused_ms, fault.mended_ms),
        lease_end_ms,
        seen.present,
    )


def _margin_ms(witness: Witness) -> float | None:
    if witness.lease_end_ms is None:
        return None
    return witness.lease_end_ms - witness.last_acked_ms(now_ms())


def during_and_after_ms(
    probes: list[Probe], inserts: list[Insert], service: str, fault: Fault
) -> tuple[float, float]:
    """How long there were two writers, during the fault and after it: a thawed engine's first
    answer must not make a writer of it for all the time it stood still."""
    during_ms = two_writers_ms(
        [probe for probe in probes if probe.end_ms < fault.mended_ms],
        [insert for insert in inserts if insert.end_ms < fault.mended_ms],
        service,
        fault.caused_ms,
    )
    return during_ms, two_writers_ms(probes, inserts, service, fault.mended_ms)


def _acked_after(watch: Watch[Any], witness: Witness, mended_ms: float) -> int:
    """By the engine of the faulty site, which is no primary any more."""
    inserts = (*witness.inserts(), *watch.inserts())
    ends = [i.end_ms for i in inserts if acked(i) and i.site == witness.site]
    for probe in watch.probes():
        if probe.site == witness.site and probe.answer is Answer.COMMITTED:
            ends.append(probe.end_ms)
    return sum(end_ms > mended_ms for end_ms in ends)


@dataclass(frozen=True)
class _Seen:
    """What the clients tried at one site since a moment, and the numbers present in the end."""

    site: str
    since_ms: float
    inside: list[Insert]
    outside: list[Insert]
    probes: list[Probe]
    present: list[int]


async def _kept(
    lab: UnkindGround, service: str, seen: _Seen, before: list[Quarantined] | None
) -> Kept | None:
    """None where the system keeps no quarantine."""
    if before is None:
        return None
    old = {one.path for one in before}
    fresh = [one for one in lab.quarantines(service, seen.site) or [] if one.path not in old]
    connection = await lab.as_superuser(service, await lab.primary_site(service))
    try:
        probed = [row["n"] for row in await connection.fetch(PROBES_SQL, seen.site)]
    finally:
        await connection.close(timeout=2)
    place = (seen.site, seen.since_ms)
    by_client: dict[str, OwnCount] = {
        "writer inside": own_count_of_writes(seen.inside, *place, seen.present),
        "writer outside": own_count_of_writes(seen.outside, *place, seen.present),
        "prober": own_count_of_probes(seen.probes, *place, probed),
    }
    return compared(fresh, seen.site, by_client)


class _Hearsay:
    """What the system says of a service while a fault lasts."""

    def __init__(self, lab: UnkindGround, service: str) -> None:
        self._lab = lab
        self._service = service
        self._last: Heard | None = None
        self.lag_bytes: int | None = None
        self.reasons: list[str] = []

    @property
    def primary_site(self) -> str:
        """As last heard; empty when nothing ever was."""
        return self._last.primary_site if self._last else ""

    @property
    def phase(self) -> str:
        """Likewise."""
        return self._last.phase if self._last else ""

    async def listen(self, for_s: float, until_phase: str = "") -> None:
        """For so long, or until it is heard to be in this phase."""
        until_s = asyncio.get_running_loop().time() + for_s
        while asyncio.get_running_loop().time() < until_s:
            await self._listen_once()
            if until_phase and self.phase == until_phase:
                return
            await asyncio.sleep(LOOK_AGAIN_S)

    async def until_served(self) -> None:
        """Until the primary's reign has begun. Raises TimeoutError."""
        until_s = asyncio.get_running_loop().time() + TAKEOVER_TIMEOUT_S
        while not (self._last and self._last.serving):
            if asyncio.get_running_loop().time() > until_s:
                raise TimeoutError(
                    f"{self._service}: it was moved, and no primary serves {TAKEOVER_TIMEOUT_S} s "
                    f"later; last heard: {self._last}"
                )
            await self._listen_once()
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _listen_once(self) -> None:
        seen = await self._lab.heard(self._service)
        if seen is not None:
            self._hear(seen)

    def _hear(self, seen: Heard) -> None:
        self._last = seen
        if seen.lag_bytes is not None:
            self.lag_bytes = max(self.lag_bytes or 0, seen.lag_bytes)
        # The figures in a sentence change at every look; its phase tells when it is another.
        if seen.phase and (not self.reasons or not self.reasons[-1].startswith(seen.phase)):
            self.reasons.append(f"{seen.phase}: {seen.because}")
