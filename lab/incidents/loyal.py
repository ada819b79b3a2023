"""Clients that never leave one engine: over TCP from outside and within its site, over its socket.

The lab's own writer goes where the primary is, so a thawed engine has nobody to acknowledge to.
These stay: what they had asked when it stood still is still asked when it goes on. They write as
fast as they can. What each way of reaching the engine came to is told by `seen_of`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from lab.base.geography import CLIENTS, SITES
from lab.base.plan import port_of
from lab.base.processes import Child
from lab.base.records import Answer, Insert, Probe, now_ms, read_writer_log
from lab.clients.writer import Target, WriterSpec
from lab.incidents.incident import Watch, acked, seconds

FAR_APART = 1_000_000_000
"""Between the numbers of two writers of one service."""
INSIDE = 50
"""Beyond the numbers of a crowd (`lab.clients.crowd`): where the writers in sites begin."""
AS_FAST_AS_IT_CAN = 1e9
SETTLE_S = 30.0
LOOK_AGAIN_S = 0.05
TCP, SOCKET = "TCP", "unix socket"


class WaySeen(msgspec.Struct, frozen=True):
    """What an old primary acknowledged to the clients of one way, from the fault on."""

    way: str
    acked: int
    lease_margin_s: float | None
    """From the last one before the fault was mended to the lease's end; below 0 it was late. None
    where no lease is told or nothing failed over."""
    acked_after_promotion: int
    """After its partner had begun the first write that it committed, mended or not."""
    lost_after_promotion: int
    """Of these, those that are absent in the end. In sync mode a commit whose backup had answered
    may be told late, and is there."""


@dataclass
class Loyal:
    """One client of one engine, with a log of its own."""

    name: str
    watch: Watch[Any]
    child: Child

    def heard_ms(self) -> float:
        """When it last ended anything: before that nothing of it is under way unwritten."""
        lines = read_writer_log(self.watch.directory / f"{self.name}.jsonl")
        return lines[-1].end_ms if lines else 0.0


def start_loyal(watch: Watch[Any], site: str, patience_s: float) -> list[Loyal]:
    """Three clients of one site's engine; they wait so long for an answer. They end with the
    watch, or when they are ended."""
    plan, service = watch.lab.plan, watch.service
    address = plan.engine(service, site)
    socket = f"{plan.run_directory(service, site) / 'socket'}:{port_of(address)}"
    ways = (
        ("outside", CLIENTS, address),
        ("inside", site, address),
        ("socket", site, socket),
    )
    login = msgspec.structs.replace(watch.login, command_timeout_s=patience_s)
    found = []
    for number, (where, place, target) in enumerate(ways, start=1):
        name = f"loyal-{site}-{where}"
        first_n = FAR_APART * (INSIDE * (1 + number) + SITES.index(site))
        targets = (Target(site, target),)
        spec = WriterSpec(service, login, targets, AS_FAST_AS_IT_CAN, first_n)
        found.append(Loyal(name, watch, watch.start_writer_as(name, place, spec)))
    return found


async def until_heard(clients: Iterable[Loyal], since_ms: float, wait_s: float) -> None:
    """Until each has ended something since then, well or not. Raises TimeoutError."""
    until_ms = now_ms() + wait_s * 1000
    for client in clients:
        while client.heard_ms() < since_ms:
            if now_ms() > until_ms:
                words = client.child.last_words(5)
                raise TimeoutError(f"{client.name} ended nothing within {wait_s} s\n{words}")
            await asyncio.sleep(LOOK_AGAIN_S)


def ways_seen(
    site: str,
    inserts: Iterable[Insert],
    probes: Iterable[Probe],
    fault_ms: tuple[float, float],
    lease_end_ms: float | None,
    present: Collection[int],
) -> tuple[WaySeen, ...]:
    """What one site's engine acknowledged by each way. `fault_ms`: when it began and was mended;
    `present`: the writers' numbers at the primary in the end. A prober's commit waits for nobody,
    so one that came after a takeover is taken for lost."""
    inserts, probes, kept = list(inserts), list(probes), set(present)
    over_socket = [i for i in inserts if i.address.startswith("/")]
    over_tcp = [i for i in inserts if not i.address.startswith("/")]
    promoted_ms = _promoted_ms(site, inserts, probes, fault_ms[0])
    return tuple(
        _way_seen(way, acks, fault_ms, promoted_ms, lease_end_ms)
        for way, acks in (
            (TCP, _acks_of(site, over_tcp, probes, kept)),
            (SOCKET, _acks_of(site, over_socket, (), kept)),
        )
    )


class _Ack(NamedTuple):
    end_ms: float
    kept: bool


def _way_seen(
    way: str,
    acks: list[_Ack],
    fault_ms: tuple[float, float],
    promoted_ms: float | None,
    lease_end_ms: float | None,
) -> WaySeen:
    caused_ms, mended_ms = fault_ms
    before = [ack.end_ms for ack in acks if ack.end_ms < mended_ms]
    margin_ms = lease_end_ms - max(before) if lease_end_ms is not None and before else None
    after = [ack for ack in acks if promoted_ms is not None and ack.end_ms > promoted_ms]
    return WaySeen(
        way=way,
        acked=sum(ack.end_ms > caused_ms for ack in acks),
        lease_margin_s=None if margin_ms is None else seconds(margin_ms),
        acked_after_promotion=len(after),
        lost_after_promotion=sum(not ack.kept for ack in after),
    )


def _acks_of(
    site: str, inserts: Iterable[Insert], probes: Iterable[Probe], present: set[int]
) -> list[_Ack]:
    """When clients of one site's engine were told that it had committed, and what became of it."""
    told = [_Ack(i.end_ms, i.n in present) for i in inserts if acked(i) and i.site == site]
    seen = (p for p in probes if p.answer is Answer.COMMITTED and p.site == site)
    return [*told, *(_Ack(p.end_ms, kept=False) for p in seen)]


def _promoted_ms(
    site: str, inserts: Iterable[Insert], probes: Iterable[Probe], since_ms: float
) -> float | None:
    """When another site's engine had been asked for the first write that it committed; None when
    it committed none. It could be written by then, or a moment later."""
    starts = [i.start_ms for i in inserts if acked(i) and i.site != site and i.start_ms > since_ms]
    starts += [
        p.start_ms
        for p in probes
        if p.answer is Answer.COMMITTED and p.site != site and p.start_ms > since_ms
    ]
    return min(starts, default=None)
