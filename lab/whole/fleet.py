"""A writer on every service of a lab, a prober in every site, and what a fault cost each service.

One process writes to all services, one process a site probes all its engines: for many services
that is lighter than a watch (`lab.incidents.incident`) on each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from lab.base.geography import CLIENTS
from lab.base.owned import Owned
from lab.base.plan import Service, site_of
from lab.base.processes import Child, module
from lab.base.records import Answer, Insert, InsertTail, Probe, now_ms, read_probes
from lab.clients.prober import ProbedEngine, ProberSpec
from lab.clients.writer import Target, WriterSpec
from lab.clients.writers import WritersSpec, log_of
from lab.incidents.incident import acked, numbers_at_primary, seconds
from lab.incidents.unkind import Fault, during_and_after_ms
from lab.judging.checks import longest_gap, loss
from lab.running.four_sites import Lab

RATE_PER_S = 20.0
PROBE_EVERY_MS = 100
WRITES_TIMEOUT_S = 60.0
LOOK_AGAIN_S = 0.05
REFUSALS = (Answer.STANDBY, Answer.FAILED, Answer.DOWN)
"""What a prober is answered by an engine that surely takes no writes."""


class Cost(msgspec.Struct, frozen=True):
    """What one incident cost one service. Seconds; -1 where it did not happen."""

    service: str
    tier: str
    group: str
    order: int
    protection: str
    moved: bool
    outage_s: float
    """The longest time between two acknowledged writes."""
    served_s: float
    """From the fault to the end of the first write that the other site acknowledged."""
    acked_lost: int
    two_writers_s: float
    refused: int
    """How often the site that was primary at first told its prober that it takes no writes."""


class Fleet(Owned):
    """The writers and probers of a running lab. `async with Fleet(lab)` writes until its end."""

    def __init__(self, lab: Lab, rate_per_s: float = RATE_PER_S) -> None:
        self.lab = lab
        self.directory = lab.plan.directory / "fleet"
        self._rate_per_s = rate_per_s
        self._children: dict[str, Child] = {}
        self._begun_ms = now_ms()
        self._tails = {
            service.name: InsertTail(log_of(self.directory, service.name), self._begun_ms)
            for service in lab.plan.services
        }
        self._lost: dict[str, set[int]] = {service.name: set() for service in lab.plan.services}
        """The writes that earlier faults cost, by service."""

    async def start(self) -> None:
        """Return when every service has had a write acknowledged. Raises TimeoutError."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        plan, login = self.lab.plan, self.lab.login()
        writers = tuple(
            WriterSpec(
                service.name,
                login,
                tuple(Target(site, plan.engine(service.name, site)) for site in service.sites),
                self._rate_per_s,
            )
            for service in plan.services
        )
        self._start("writers", CLIENTS, WritersSpec(writers), "--directory", str(self.directory))
        for site in plan.sites:
            engines = tuple(
                ProbedEngine(service.name, site, plan.engine(service.name, site))
                for service in plan.services_at(site)
            )
            spec = ProberSpec(login, engines, PROBE_EVERY_MS)
            self._start(f"prober-{site}", site, spec, "--log", str(self._probes_of(site)))
        await self.wait_for_writes()

    async def stop(self) -> None:
        for child in self._children.values():
            await child.end()

    def prober_pid(self, site: str) -> int:
        return self._children[f"prober-{site}"].pid

    def inserts(self, service: str) -> list[Insert]:
        """What its writer tried since this fleet began."""
        return self._tails[service].inserts()

    def probes(self, since_ms: float) -> list[Probe]:
        """What all probers saw since then."""
        lines = [
            line for site in self.lab.plan.sites for line in read_probes(self._probes_of(site))
        ]
        return [line for line in lines if line.start_ms >= since_ms]

    async def wait_for_writes(
        self, services: Iterable[str] | None = None, wait_s: float = WRITES_TIMEOUT_S
    ) -> None:
        """Until each of them, or of all, has further writes acknowledged. Raises TimeoutError."""
        begun_ms = now_ms()
        waiting = list(services or self._tails)
        while now_ms() < begun_ms + wait_s * 1000:
            waiting = [name for name in waiting if not self._acked_since(name, begun_ms)]
            if not waiting:
                return
            await asyncio.sleep(LOOK_AGAIN_S)
        raise TimeoutError(
            f"no write of {', '.join(waiting)} was acknowledged within {wait_s} s\n"
            f"{self._children['writers'].last_words(5)}"
        )

    async def costs(self, fault: Fault, end: Callable[[], Awaitable[Any]]) -> list[Cost]:
        """Cause the fault, wait for the end, mend it unless that was done, let every service
        write, and tell what it cost."""
        before = await self.lab.services()
        await fault.begin()
        try:
            await end()
        finally:
            await fault.mend("")
        await self.wait_for_writes()
        seen = _Seen(fault, now_ms(), self.probes(fault.caused_ms))
        after = await self.lab.services()
        return [
            await self._cost(service, before[service.name], after[service.name], seen)
            for service in self.lab.plan.services
        ]

    async def _cost(
        self, service: Service, before: dict[str, Any], after: dict[str, Any], seen: _Seen
    ) -> Cost:
        name, old_site = service.name, site_of(before["primary"])
        inserts = [i for i in self.inserts(name) if i.end_ms <= seen.ended_ms]
        probes = [probe for probe in seen.probes if probe.service == name]
        present = await numbers_at_primary(self.lab, name)
        begun_ms = seen.fault.caused_ms
        # A fleet outlives a fault: what an earlier one cost an async service is no loss of this.
        lost = set(loss(inserts, present).lost) - self._lost[name]
        self._lost[name] |= lost
        return Cost(
            service=name,
            tier=service.tier,
            group=service.group,
            order=service.order,
            protection=service.protection,
            moved=after["epoch"] > before["epoch"],
            outage_s=seconds(longest_gap(inserts, begun_ms, seen.ended_ms).length_ms),
            served_s=_served_s(inserts, probes, old_site, begun_ms),
            acked_lost=len(lost),
            two_writers_s=max(map(seconds, during_and_after_ms(probes, inserts, name, seen.fault))),
            refused=sum(p.site == old_site and p.answer in REFUSALS for p in probes),
        )

    def _acked_since(self, service: str, since_ms: float) -> bool:
        return any(acked(i) and i.start_ms > since_ms for i in self.inserts(service)[-5:])

    def _probes_of(self, site: str) -> Any:
        return self.directory / f"prober-{site}.jsonl"

    def _start(self, name: str, place: str, spec: msgspec.Struct, *log: str) -> None:
        file = self.directory / f"{name}.json"
        file.write_bytes(msgspec.json.encode(spec))
        program = "lab.clients.writers" if name == "writers" else "lab.clients.prober"
        child = Child(
            name,
            self.directory / f"{name}.out",
            module(program, "--spec", str(file), *log),
            self.lab.inside(place),
        )
        child.start()
        self._children[name] = child


@dataclass(frozen=True)
class _Seen:
    """What the probers saw from a fault to the end of what it caused."""

    fault: Fault
    ended_ms: float
    probes: list[Probe]


def _served_s(inserts: list[Insert], probes: list[Probe], old_site: str, begun_ms: float) -> float:
    ends = [i.end_ms for i in inserts if acked(i) and i.site != old_site and i.start_ms > begun_ms]
    ends += [p.end_ms for p in probes if p.answer is Answer.COMMITTED and p.site != old_site]
    return seconds(min(ends) - begun_ms) if ends else -1.0
