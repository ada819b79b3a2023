"""An old primary that comes back: a minute after its death, or while its partner is promoted.

Both must end by themselves with it as the streaming backup, identical rows, never two writers,
and what it had committed alone in quarantine. `lab.incidents.unkind` gives the figures.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lab.incidents.incident import Watch
from lab.incidents.unkind import Fault, Scenario, Unkind, told
from lab.incidents.witness import Witness
from lab.running.ground import UnkindGround

PROMOTING = "PROMOTING"


async def returns_late(lab: UnkindGround, watch: Watch[Any], hold_s: float) -> Unkind:
    """The primary's site is killed with writes that nobody else has, and started again later."""
    site = await lab.primary_site(watch.service)
    partner = next(s for s in lab.plan.service(watch.service).sites if s != site)

    async def kill() -> None:
        lab.kill_site(site)

    async def start() -> None:
        await lab.links.heal()
        lab.start_site(site)

    fault = Fault("primary site killed, back after the hold", kill, start)
    async with Witness(watch, site) as witness:
        # What is acknowledged from here on never reaches the partner: it is the divergence.
        await lab.links.cut(site, partner)
        await watch.wait_for_writes()
        return _judged(await told(watch, witness, hold_s, fault))


async def returns_soon(lab: UnkindGround, watch: Watch[Any], hold_s: float) -> Unkind:
    """The primary's site is cut off, and healed in the middle of its partner's promotion."""
    site = await lab.primary_site(watch.service)
    fault = Fault(
        "primary site cut off, healed while its partner is promoted",
        lambda: lab.links.isolate(site),
        lab.links.heal,
        until_phase=PROMOTING,
    )
    async with Witness(watch, site) as witness:
        seen = _judged(await told(watch, witness, hold_s, fault))
    if seen.mended_in != PROMOTING:
        late = f"it was healed in {seen.mended_in or 'no phase'}, for {PROMOTING} was not seen"
        return msgspec.structs.replace(seen, broken=f"{seen.broken} {late}".strip())
    return seen


SCENARIOS: dict[str, Scenario] = {"returns-late": returns_late, "returns-soon": returns_soon}


def _judged(seen: Unkind) -> Unkind:
    """With what must not be: two writers, an old primary that writes on, no failover at all."""
    two_writers_s = seen.act_and_after().two_writers_s
    if not seen.failed_over:
        return msgspec.structs.replace(seen, broken="nothing failed over")
    if two_writers_s or seen.acked_after_thaw:
        text = f"two writers for {two_writers_s} s, {seen.acked_after_thaw} writes after its return"
        return msgspec.structs.replace(seen, broken=text)
    return seen
