"""The primary's guard alone stands still: the kernel keeps the door, and the agent says so.

A guard that is stopped keeps no deadline, and fills no set of the kernel's again. So the door shuts
when the lease ends that it knew last, though the agent, who lives, renews on; then the agent ends
it, and its engine with it.
"""

from __future__ import annotations

import asyncio
import re
import signal
from dataclasses import dataclass
from typing import Any

import msgspec

from config.leases import PROFILES
from lab.base.plan import agent_of
from lab.base.records import Insert, now_ms
from lab.incidents.incident import Watch, acked, seconds
from lab.incidents.loyal import SOCKET, TCP
from lab.incidents.still import PATIENCE_S, send_all
from lab.incidents.unkind import Fault, Unkind, told
from lab.incidents.witness import Witness
from lab.running.four_sites import Lab

LOOK_AGAIN_S = 0.05
FENCE_BUDGET_MS = PROFILES["fast"].fence_budget_ms
UNITS_MS = {"m": 60_000, "s": 1000, "ms": 1}


async def guard_stopped(lab: Lab, watch: Watch[Any], hold_s: float) -> Unkind:
    """The primary's guard alone is stopped: the kernel keeps the door, the agent says so."""
    site = await lab.primary_site(watch.service)
    guards = lab.guards(watch.service, site)
    door = _Door(lab, watch.service, site, guards)

    async def stop() -> None:
        send_all(guards, signal.SIGSTOP)
        await door.begin()

    async def go_on() -> None:
        send_all(guards, signal.SIGCONT)

    fault = Fault("primary's guard stopped", stop, go_on)
    async with Witness(watch, site, hold_s + PATIENCE_S) as witness:
        try:
            seen = await told(watch, witness, hold_s, fault)
        finally:
            await go_on()
            await door.end()
        inserts = [*watch.inserts(), *witness.inserts()]
    return door.judged(seen, [i for i in inserts if acked(i) and i.site == site])


@dataclass
class _Door:
    """What became of the kernel's door and of the guard, once the guard was stopped."""

    lab: Lab
    service: str
    site: str
    guards: list[int]
    stopped_ms: float = 0.0
    shuts_ms: float = 0.0
    """As the kernel says: the last that the stopped guard told it."""
    noticed_ms: float = 0.0
    said: str = ""
    replaced_ms: float = 0.0
    """When the stopped guard was seen to be gone, or another one there."""

    async def begin(self) -> None:
        self.stopped_ms = now_ms()
        left_ms = await _door_left_ms(self.lab, self.site)
        self.shuts_ms = now_ms() + left_ms
        self._looking = asyncio.create_task(self._look(), name=f"door of {self.site}")

    async def end(self) -> None:
        self._looking.cancel()
        await asyncio.gather(self._looking, return_exceptions=True)

    def judged(self, seen: Unkind, acks: list[Insert]) -> Unkind:
        """With what was seen of the door, and what must not be."""
        lease_ends_ms = self.shuts_ms + FENCE_BUDGET_MS
        until_ms = self.replaced_ms or now_ms()
        late = [i for i in acks if lease_ends_ms < i.end_ms < until_ms and _over_tcp(i)]
        last = {
            way: max(i.end_ms for i in acks if _over_tcp(i) == tcp and i.end_ms < until_ms)
            for way, tcp in ((TCP, True), (SOCKET, False))
        }
        found = [] if self.noticed_ms else ["the agent never said so"]
        if late:
            found.append(f"{len(late)} writes acknowledged over TCP after the guard's last lease")
        note = (
            f"the agent said so {self._after(self.noticed_ms)} after the stop ({self.said}); the "
            f"kernel's door was to shut after {self._after(self.shuts_ms)}; last acknowledged over "
            f"TCP after {self._after(last[TCP])}, over the unix socket after "
            f"{self._after(last[SOCKET])}; the guard was replaced after "
            f"{self._after(self.replaced_ms)}"
        )
        return msgspec.structs.replace(seen, broken="; ".join(found), notes=(note,))

    def _after(self, moment_ms: float) -> str:
        return f"{seconds(moment_ms - self.stopped_ms):.2f} s" if moment_ms else "never"

    async def _look(self) -> None:
        while not (self.noticed_ms and self.replaced_ms):
            if not self.replaced_ms and self.lab.guards(self.service, self.site) != self.guards:
                self.replaced_ms = now_ms()
            if not self.noticed_ms:
                self.said = await self._problem()
                self.noticed_ms = now_ms() if "guard" in self.said else 0.0
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _problem(self) -> str:
        seen = (await self.lab.services()).get(self.service, {"copies": []})
        reports = [c["report"] for c in seen["copies"] if c["agent"] == agent_of(self.site)]
        return str(reports[0].get("problem", "")) if reports and reports[0] else ""


async def _door_left_ms(lab: Lab, site: str) -> float:
    """How long the kernel of a site lets the engine's packets pass by itself; 0 when it does not.

    Raises RuntimeError where it keeps no door with a deadline.
    """
    process = await asyncio.create_subprocess_exec(
        *lab.inside(site), "nft", "list", "ruleset", stdout=asyncio.subprocess.PIPE
    )
    text = (await process.communicate())[0].decode()
    if "set door" not in text:
        raise RuntimeError(f"{site}: no door of Saling among the kernel's rules: {text[:200]}")
    found = re.search(r"expires ((?:\d+(?:ms|m|s))+)", text)
    parts = re.findall(r"(\d+)(ms|m|s)", found[1]) if found else []
    return float(sum(int(number) * UNITS_MS[unit] for number, unit in parts))


def _over_tcp(insert: Insert) -> bool:
    return not insert.address.startswith("/")
