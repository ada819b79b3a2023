"""The unkind incidents: sites that are cut off, stand still and go on, roads cut one way.

Each takes a lab that is whole, a watch on one of its services, and how long the fault lasts at
least; each ends when the service is whole again by itself. The roads must be those of
`lab.namespaces` where a client inside a site shall be cut off with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from lab.checks import loss
from lab.four_sites import Lab
from lab.incident import Act, Watch, acked, act, numbers_at_primary, seconds, two_writers_ms
from lab.network import Way
from lab.records import Answer, now_ms
from lab.witness import Witness

LOOK_AGAIN_S = 0.05
SERVING = ("ALONE", "ARMING", "PROTECTED")


class Unkind(msgspec.Struct, frozen=True):
    """An incident's figures, and those that only a client in the faulty site can give."""

    act: Act
    """From the fault to its end; what came after the heal or the thaw is told below."""
    failed_over: bool
    lease_margin_s: float | None
    """From the faulty site's last acknowledgement to its lease's end: never below 0.

    Before the heal or the thaw; None where nothing failed over, and the lease went on.
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
    lag_bytes: int
    """The most that the backup was behind during the fault, as the controller knew."""
    reasons: list[str]
    """What the service said of itself during the fault, each phase with its sentence."""


Scenario = Callable[[Lab, Watch[Lab], float], Awaitable[Unkind]]


async def primary_cut_off(lab: Lab, watch: Watch[Lab], hold_s: float) -> Unkind:
    """The primary's site is cut off from everybody, clients included, then healed."""
    return await _isolated(lab, watch, hold_s, "primary site cut off", "both")


async def primary_deaf(lab: Lab, watch: Watch[Lab], hold_s: float) -> Unkind:
    """Nothing reaches the primary's site; what it sends arrives."""
    return await _isolated(lab, watch, hold_s, "primary site deaf", "in")


async def primary_mute(lab: Lab, watch: Watch[Lab], hold_s: float) -> Unkind:
    """Nothing that the primary's site sends arrives; it hears everybody."""
    return await _isolated(lab, watch, hold_s, "primary site mute", "out")


async def primary_frozen(lab: Lab, watch: Watch[Lab], hold_s: float) -> Unkind:
    """The primary's site stands still, a client in it too, and goes on where it was."""
    site = await lab.primary_site(watch.service)
    async with Witness(watch, site) as witness:
        still = (witness.pid,)

        async def thaw() -> None:
            lab.thaw_site(site, still)

        fault = _Fault("primary site frozen", lambda: lab.freeze_site(site, still), thaw)
        try:
            return await _told(watch, witness, hold_s, fault)
        finally:
            await thaw()


async def partner_link_cut(lab: Lab, watch: Watch[Lab], hold_s: float) -> Unkind:
    """Only the road between primary and partner is cut; both reach the controller."""
    site = await lab.primary_site(watch.service)
    partner = next(s for s in lab.plan.service(watch.service).sites if s != site)
    fault = _Fault("link to the partner cut", lambda: lab.links.cut(site, partner), lab.links.heal)
    async with Witness(watch, site) as witness:
        return await _told(watch, witness, hold_s, fault)


SCENARIOS: dict[str, Scenario] = {
    "cut-off": primary_cut_off,
    "frozen": primary_frozen,
    "one-link": partner_link_cut,
    "deaf": primary_deaf,
    "mute": primary_mute,
}


async def _isolated(lab: Lab, watch: Watch[Lab], hold_s: float, name: str, way: Way) -> Unkind:
    site = await lab.primary_site(watch.service)
    fault = _Fault(name, lambda: lab.links.isolate(site, way=way), lab.links.heal)
    async with Witness(watch, site) as witness:
        return await _told(watch, witness, hold_s, fault)


@dataclass
class _Fault:
    """What is done and undone, and when."""

    name: str
    cause: Callable[[], Awaitable[Any]]
    undo: Callable[[], Awaitable[Any]]
    caused_ms: float = 0.0
    mended_ms: float = 0.0

    async def begin(self) -> None:
        self.caused_ms = now_ms()
        await self.cause()

    async def mend(self) -> None:
        """Once only."""
        if not self.mended_ms:
            self.mended_ms = now_ms()
            await self.undo()


async def _told(watch: Watch[Lab], witness: Witness, hold_s: float, fault: _Fault) -> Unkind:
    """Cause the fault, hold it, mend it, wait until all is whole, and tell."""
    lab, service = watch.lab, watch.service
    before = await lab.last_known(service)
    heard = _Hearsay(lab, service)

    async def end() -> None:
        await heard.listen(hold_s)
        if heard.epoch > before["epoch"]:
            await lab.wait_for("the takeover", lambda s: s["phase"] in SERVING, service)
        else:
            # The writer outside may reach nobody for as long as nothing moves.
            await fault.mend()

    done = await act(watch, fault.name, fault.begin, end)
    margin_ms = witness.lease_end_ms() - witness.last_acked_ms(now_ms())
    await fault.mend()
    failed_over = (await lab.wait_until_whole(service))["epoch"] > before["epoch"]
    whole_ms = now_ms()
    await watch.wait_for_writes()
    # The logs are read first: what is acknowledged after the rows were read is not lost.
    inside, outside = witness.inserts(), watch.inserts()
    present = await numbers_at_primary(lab, service)
    watch.quiet_since_ms = now_ms()
    mended_ms = fault.mended_ms
    # A thawed engine's first answer must not make a writer of it for all the time it stood still.
    probes, inserts = watch.probes(), [*inside, *outside]
    during_ms = two_writers_ms(
        [probe for probe in probes if probe.end_ms < mended_ms],
        [insert for insert in inserts if insert.end_ms < mended_ms],
        service,
        fault.caused_ms,
    )
    after_ms = two_writers_ms(probes, inserts, service, mended_ms)
    return Unkind(
        act=done,
        failed_over=failed_over,
        lease_margin_s=seconds(margin_ms) if failed_over else None,
        acked_inside=sum(acked(i) and fault.caused_ms < i.end_ms < mended_ms for i in inside),
        lost_inside=len(loss(inside, present).lost),
        acked_after_thaw=_acked_after(watch, witness, mended_ms) if failed_over else 0,
        two_writers_s=seconds(during_ms),
        two_writers_after_s=seconds(after_ms),
        lost_after=len(loss([i for i in outside if i.start_ms > mended_ms], present).lost),
        whole_after_s=seconds(whole_ms - mended_ms),
        lag_bytes=heard.lag_bytes,
        reasons=heard.reasons,
    )


def _acked_after(watch: Watch[Lab], witness: Witness, mended_ms: float) -> int:
    """By the engine of the faulty site, which is no primary any more."""
    inserts = (*witness.inserts(), *watch.inserts())
    ends = [i.end_ms for i in inserts if acked(i) and i.site == witness.site]
    for probe in watch.probes():
        if probe.site == witness.site and probe.answer is Answer.COMMITTED:
            ends.append(probe.end_ms)
    return sum(end_ms > mended_ms for end_ms in ends)


class _Hearsay:
    """What the controller says of a service while a fault lasts."""

    def __init__(self, lab: Lab, service: str) -> None:
        self._lab = lab
        self._service = service
        self.epoch = 0
        self.lag_bytes = 0
        self.reasons: list[str] = []

    async def listen(self, for_s: float) -> None:
        until_s = asyncio.get_running_loop().time() + for_s
        while asyncio.get_running_loop().time() < until_s:
            seen = (await self._lab.services()).get(self._service)
            if seen is not None:
                self._hear(seen)
            await asyncio.sleep(LOOK_AGAIN_S)

    def _hear(self, seen: dict[str, Any]) -> None:
        self.epoch = max(self.epoch, seen["epoch"])
        self.lag_bytes = max(self.lag_bytes, seen["lag_bytes"] or 0)
        # The figures in a sentence change at every look; its phase tells when it is another.
        if not self.reasons or not self.reasons[-1].startswith(seen["phase"]):
            self.reasons.append(f"{seen['phase']}: {seen['because']}")
