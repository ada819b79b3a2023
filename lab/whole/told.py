"""What an incident of a whole site came to, and what must hold of every one."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec

from lab.running.four_sites import Lab
from lab.whole.fleet import Cost


class Told(msgspec.Struct, frozen=True):
    """One incident."""

    name: str
    costs: tuple[Cost, ...]
    broken: tuple[str, ...] = ()
    """What must not be on any machine, but was."""
    bound: str = ""
    """What it may take; empty where nothing is said of that."""
    late: tuple[str, ...] = ()
    """What took longer than it may: on a machine that does much else, too."""
    notes: tuple[str, ...] = ()
    """What else was seen, a sentence each."""

    def moved(self) -> list[Cost]:
        return [cost for cost in self.costs if cost.moved]

    def stayed(self) -> list[Cost]:
        return [cost for cost in self.costs if not cost.moved]

    def in_time(self) -> str:
        """Whether the bound held, as it stands in tables."""
        if not self.bound:
            return "-"
        return f"{'no' if self.late else 'yes'}: {self.bound}"

    def median_outage_s(self) -> float:
        """Of those that moved; -1 without one."""
        outages = [cost.outage_s for cost in self.moved()]
        return statistics.median(outages) if outages else -1.0


def against_every_promise(costs: Iterable[Cost], may_refuse: Collection[str]) -> list[str]:
    """What no incident may do to any service. `may_refuse`: services whose first primary was
    itself struck, or was asked to stop."""
    found = []
    for cost in costs:
        if cost.two_writers_s:
            found.append(f"{cost.service}: two writers for {cost.two_writers_s} s")
        if cost.acked_lost and cost.protection == "sync":
            found.append(f"{cost.service}: {cost.acked_lost} acknowledged writes are lost")
        if cost.refused and cost.service not in may_refuse:
            found.append(f"{cost.service}: its primary refused {cost.refused} writes")
    return found


async def out_of_order(
    lab: Lab, groups: Sequence[Sequence[str]], since_wall_ms: float
) -> list[str]:
    """Services of a group whose promotion began before that of the one before them had ended."""
    found = []
    for group in groups:
        spans = [await _promotion_ms(lab, service, since_wall_ms) for service in group]
        for earlier, later, one, other in zip(group, group[1:], spans, spans[1:], strict=False):
            if one and other and other[0] < one[1]:
                found.append(
                    f"{later} was promoted {one[1] - other[0]:.0f} ms before {earlier} served"
                )
    return found


async def takeovers(lab: Lab, since_wall_ms: float) -> list[str]:
    """Every takeover since then, service by service, each with the sentence for it."""
    told = []
    for service in lab.plan.services:
        for entry in reversed(await lab.decisions(service.name)):
            change = entry["transition"]
            if entry["at_ms"] >= since_wall_ms and _is_takeover(change):
                after_s = (entry["at_ms"] - since_wall_ms) / 1000
                told.append(f"{service.name} +{after_s:.1f} s: {change['because']}")
    return told


def _is_takeover(change: dict[str, Any]) -> bool:
    return bool(change["to_phase"] == "PROMOTING" and change["from_phase"] != "PROMOTING")


async def _promotion_ms(lab: Lab, service: str, since_wall_ms: float) -> tuple[float, float] | None:
    """When the last promotion was decided, and when it had ended; None without one."""
    begun_ms = None
    for entry in reversed(await lab.decisions(service)):
        phase: Any = entry["transition"]["to_phase"]
        if entry["at_ms"] < since_wall_ms:
            continue
        if phase == "PROMOTING":
            begun_ms = entry["at_ms"]
        elif begun_ms is not None:
            return begun_ms, entry["at_ms"]
    return None
