"""One incident, measured: a writer that never stops, probers in both sites, a fault, an end.

The figures, in seconds:

    outage_s        the longest time between two acknowledged writes around the fault
    promotion_s     from the fault to the first write that a prober committed at the partner
    acked_lost      writes that were acknowledged and are absent at the primary in the end
    two_writers_s   how long probers or the writer prove that two copies took writes at once
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from lab.base.database import Login
from lab.base.geography import CLIENTS
from lab.base.processes import Child, module
from lab.base.records import Answer, Insert, Outcome, Probe, now_ms, read_inserts, read_probes
from lab.clients.prober import ProbedEngine, ProberSpec
from lab.clients.writer import Target, WriterSpec
from lab.judging.checks import NUMBERS_SQL, longest_gap, loss, overlap_of_probes
from lab.running.ground import Ground

FIRST_WRITE_TIMEOUT_S = 30.0
SETTLE_ACKED = 20
LOOK_AGAIN_S = 0.05

G = TypeVar("G", bound=Ground)


class Act(msgspec.Struct, frozen=True):
    """What one incident came to."""

    name: str
    service: str
    outage_s: float
    promotion_s: float
    """-1 where nothing was promoted."""
    acked_lost: int
    two_writers_s: float
    lease_ttl_s: float
    longest_gap_before_s: float
    acked: int
    timeline: list[dict[str, Any]]


@dataclass
class Watch(Generic[G]):
    """A writer and a prober on one service; both are processes of their own."""

    lab: G
    service: str
    directory: Path = field(init=False)
    quiet_since_ms: float = field(default_factory=now_ms, init=False)
    """When the last incident was over."""
    begun_ms: float = field(default_factory=now_ms, init=False)
    _children: list[Child] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.directory = self.lab.plan.directory / "watch" / self.service
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def __aenter__(self) -> Watch[G]:
        sites = self.lab.plan.service(self.service).sites
        self.start_writer("writer", CLIENTS, sites)
        for site in sites:
            engine = ProbedEngine(self.service, site, self.lab.plan.engine(self.service, site))
            self._start("prober", f"prober-{site}", site, ProberSpec(self.login, (engine,)))
        await self.wait_for_writes()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        for child in self._children:
            await child.end()

    def start_writer(
        self, name: str, place: str, sites: tuple[str, ...], first_n: int = 1
    ) -> Child:
        """A writer that stands in a place and looks for the primary in these sites.

        It ends with this watch. Its log is `name`.jsonl; its numbers begin at `first_n`.
        """
        targets = tuple(Target(s, self.lab.plan.engine(self.service, s)) for s in sites)
        spec = WriterSpec(self.service, self.login, targets, first_n=first_n)
        return self.start_writer_as(name, place, spec)

    def start_writer_as(self, name: str, place: str, spec: WriterSpec) -> Child:
        """Likewise, as its own spec says."""
        return self._start("writer", name, place, spec)

    def inserts(self) -> list[Insert]:
        """What the writer tried since this watch began."""
        return self.inserts_of("writer")

    def inserts_of(self, name: str) -> list[Insert]:
        """What one of its writers tried since this watch began."""
        lines = read_inserts(self.directory / f"{name}.jsonl")
        return [line for line in lines if line.start_ms >= self.begun_ms]

    def probes(self) -> list[Probe]:
        """What the probers saw since this watch began."""
        logs = sorted(self.directory.glob("prober-*.jsonl"))
        lines = [line for log in logs for line in read_probes(log)]
        return [line for line in lines if line.start_ms >= self.begun_ms]

    async def wait_for_writes(
        self, count: int = SETTLE_ACKED, wait_s: float = FIRST_WRITE_TIMEOUT_S
    ) -> None:
        """Wait until this many further writes were acknowledged. Raises TimeoutError."""
        begun_ms = now_ms()
        deadline = begun_ms + wait_s * 1000
        while now_ms() < deadline:
            if sum(acked(i) and i.start_ms > begun_ms for i in self.inserts()) >= count:
                return
            await asyncio.sleep(LOOK_AGAIN_S)
        words = "\n".join(f"{child.name}: {child.last_words(5)}" for child in self._children)
        raise TimeoutError(
            f"{self.service}: the writer got no {count} writes acknowledged within "
            f"{wait_s} s\n{words}"
        )

    @property
    def login(self) -> Login:
        return self.lab.login()

    def _start(self, program: str, name: str, place: str, spec: msgspec.Struct) -> Child:
        file, log = self.directory / f"{name}.json", self.directory / f"{name}.jsonl"
        file.write_bytes(msgspec.json.encode(spec))
        arguments = module(f"lab.{program}", "--spec", str(file), "--log", str(log))
        output = self.directory / f"{name}.out"
        child = Child(name, output, arguments, self.lab.inside(place))
        child.start()
        self._children.append(child)
        return child


async def act(
    watch: Watch[G],
    name: str,
    fault: Callable[[], Awaitable[None]],
    end: Callable[[], Awaitable[Any]],
) -> Act:
    """Cause the fault, wait for the end, and measure what was between."""
    lab, service = watch.lab, watch.service
    old_site = await lab.primary_site(service)
    begun_ms, begun_wall_ms = now_ms(), time.time() * 1000
    await fault()
    await end()
    await watch.wait_for_writes()
    ended_ms = now_ms()
    inserts = watch.inserts()
    seen = await lab.last_known(service)
    present = await numbers_at_primary(lab, service)
    told = [i for i in inserts if watch.quiet_since_ms <= i.start_ms and i.end_ms <= ended_ms]
    losses = loss(told, present)
    quiet_since_ms, watch.quiet_since_ms = watch.quiet_since_ms, ended_ms
    return Act(
        name=name,
        service=service,
        outage_s=seconds(longest_gap(inserts, begun_ms, ended_ms).length_ms),
        promotion_s=_promotion_s(watch.probes(), old_site, begun_ms),
        acked_lost=len(losses.lost),
        two_writers_s=seconds(two_writers_ms(watch.probes(), inserts, service, quiet_since_ms)),
        lease_ttl_s=seconds(seen["lease_ttl_ms"]),
        longest_gap_before_s=_gap_before_s(inserts, quiet_since_ms, begun_ms),
        acked=losses.acked,
        timeline=await _timeline(lab, service, begun_wall_ms),
    )


def acked(insert: Insert) -> bool:
    """Whether the client was told that it is committed."""
    return insert.outcome is Outcome.ACKED


def seconds(span_ms: float) -> float:
    """To the millisecond."""
    return round(span_ms / 1000, 3)


def _promotion_s(probes: list[Probe], old_site: str, begun_ms: float) -> float:
    ends = [
        probe.end_ms
        for probe in probes
        if probe.answer is Answer.COMMITTED and probe.site != old_site and probe.start_ms > begun_ms
    ]
    return seconds(min(ends) - begun_ms) if ends else -1.0


def _gap_before_s(inserts: list[Insert], quiet_since_ms: float, begun_ms: float) -> float:
    """The longest gap without a fault before this one: how noisy the machine was."""
    acks = [i.end_ms for i in inserts if acked(i) and quiet_since_ms <= i.end_ms <= begun_ms]
    if len(acks) < 2:
        return 0.0
    return seconds(longest_gap(inserts, acks[0], acks[-1]).length_ms)


def two_writers_ms(
    probes: list[Probe], inserts: list[Insert], service: str, since_ms: float
) -> float:
    """By the probers' commits, and by the writers' own acknowledgements at two sites."""
    answers = [
        Probe(
            service,
            i.site,
            i.n,
            i.start_ms,
            i.end_ms,
            Answer.COMMITTED if acked(i) else Answer.FAILED,
        )
        for i in inserts
    ]
    return max(
        overlap_of_probes([one for one in seen if one.start_ms >= since_ms], service).proven_ms
        for seen in (probes, answers)
    )


async def numbers_at_primary(lab: Ground, service: str) -> list[int]:
    """The rows of the lab's writers. Raises OSError while the primary is down."""
    connection = await lab.as_superuser(service, await lab.primary_site(service))
    try:
        return [row["n"] for row in await connection.fetch(NUMBERS_SQL)]
    finally:
        await connection.close(timeout=2)


async def _timeline(lab: Ground, service: str, begun_wall_ms: float) -> list[dict[str, Any]]:
    """What was decided meanwhile."""
    entries = [e for e in await lab.decisions(service) if e["at_ms"] >= begun_wall_ms - 1]
    return [
        {
            "at_s": seconds(entry["at_ms"] - begun_wall_ms),
            "phase": entry["transition"]["to_phase"],
            "because": entry["transition"]["because"],
        }
        for entry in reversed(entries)
    ]
