"""A sync service loses its primary's site again and again, under clients that never pause.

Each round the primary's site is killed, cut off or frozen, its partner takes over, the site comes
back, and the service is PROTECTED again before the next one begins: so both sites take turns. A
client stays with the faulty site's engine over its unix socket. After each round every write that
was ever acknowledged to anybody, in this round or in one before, must be at the primary; only the
probers' rows are no part of it, for their commits ask for no wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import msgspec

from lab.base.records import Insert, now_ms
from lab.clients.crowd import HOW_MANY, Crowd
from lab.incidents.incident import Watch, acked, act, numbers_at_primary
from lab.incidents.judged import Judged, judged
from lab.incidents.loyal import AS_FAST_AS_IT_CAN
from lab.incidents.unkind import Fault
from lab.incidents.witness import Witness
from lab.running.four_sites import Lab

ROUNDS = 10
BACK_S = 120.0
AFTER_TAKEOVER_S = 2.0
"""How long the fault lasts beyond the takeover: an old primary comes back to another's reign."""
PATIENCE_S = 30.0


Break = Callable[[Lab, str], Fault]
"""The fault that is done to a site."""


@dataclass
class _Rounds:
    """What all rounds so far have lost."""

    watch: Watch[Lab]
    crowd: Crowd
    stayed: list[Insert] = field(default_factory=list)
    """What clients of faulty sites tried in rounds that are over."""
    lost: set[int] = field(default_factory=set)

    async def count(self) -> int:
        """How many more are lost than after the last round."""
        # The logs are read first: what is acknowledged after the rows were read is not lost.
        told = {i.n for client in self.crowd.clients() for i in client if acked(i)}
        told |= {i.n for i in (*self.watch.inserts(), *self.stayed) if acked(i)}
        present = set(await numbers_at_primary(self.watch.lab, self.watch.service))
        before, self.lost = self.lost, self.lost | (told - present)
        return len(self.lost) - len(before)


async def rounds(
    watch: Watch[Lab], fault_of: Break, rounds: int = ROUNDS, clients: int = HOW_MANY
) -> list[Judged]:
    """One incident a round, whose outage is that of the client that waited longest.

    Raises TimeoutError when a round does not end whole.
    """
    done = []
    crowd = Crowd(watch.lab, watch.service, clients=clients, rate_per_s=AS_FAST_AS_IT_CAN)
    async with crowd:
        told = _Rounds(watch, crowd)
        for _ in range(rounds):
            await watch.lab.wait_until_whole(watch.service)
            done.append(await _round(told, fault_of))
    return done


async def _round(told: _Rounds, fault_of: Break) -> Judged:
    watch, crowd, lab = told.watch, told.crowd, told.watch.lab
    site = await lab.primary_site(watch.service)
    fault = fault_of(lab, site)
    async with Witness(watch, site, PATIENCE_S) as witness:
        begun_ms = now_ms()

        async def end() -> None:
            await lab.wait_for_phase(watch.service, "ALONE")
            await crowd.wait_for_writes(BACK_S)
            await asyncio.sleep(AFTER_TAKEOVER_S)
            await fault.mend("")

        try:
            done = await act(watch, fault.name, fault.begin, end)
        finally:
            await fault.mend("")
        await lab.wait_until_whole(watch.service)
        await crowd.wait_for_writes(BACK_S)
        told.stayed += witness.inserts()
    outage_s = max(done.outage_s, crowd.outage_s(begun_ms, now_ms()))
    lost = await told.count()
    watch.quiet_since_ms = now_ms()
    done = msgspec.structs.replace(done, outage_s=outage_s, acked_lost=lost)
    return judged(done, [], [])


def killed(lab: Lab, site: str) -> Fault:
    """Every process of the site is killed, and started again."""

    async def kill() -> None:
        lab.kill_site(site)

    async def start() -> None:
        lab.start_site(site)

    return Fault("sync: primary site killed", kill, start)


def cut(lab: Lab, site: str) -> Fault:
    """The site is cut off from everybody, and healed."""
    return Fault("sync: primary site cut off", lambda: lab.links.isolate(site), lab.links.heal)


def frozen(lab: Lab, site: str) -> Fault:
    """Every process of the site stands still, and goes on where it was."""

    async def thaw() -> None:
        lab.thaw_site(site)

    return Fault("sync: primary site frozen, thawed", partial(lab.freeze_site, site), thaw)


BREAKS: dict[str, Break] = {"sync-killed": killed, "sync-cut": cut, "sync-frozen": frozen}
"""By the names of the benchmark's scenarios."""
