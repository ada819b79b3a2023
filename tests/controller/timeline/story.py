"""A night of two services, as the history tells it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from config.loader import load_topology
from controller.core.happening import About, Happening
from controller.core.model import Operation, Transition
from controller.core.plan_model import PlanChange, PlanKind, PlanStatus
from controller.stores.base import HappeningLine, HistoryLine, PlanLine
from controller.timeline.gather import Choice, Lines, timeline
from controller.timeline.model import Timeline

TOPOLOGY = load_topology(Path(__file__).parents[3] / "config" / "example" / "four-sites.yaml").value
START = 1_796_000_000_000
"""2026-11-30 00:53:20 UTC."""
MINUTE = 60_000
J, B, IKN, L = "jabodetabek-1", "batam-1", "ikn-1", "labuan-bajo-1"


def change(
    number: int, at_ms: int, phases: str, service: str = "paspor", **more: Any
) -> HistoryLine:
    """`PROTECTED COUNTDOWN` of a service of the first pair, or of ikn's."""
    before, after = phases.split()
    home = (IKN, L) if service == "arsip" else (J, B)
    usual: dict[str, Any] = {
        "service": service,
        "service_uid": service,
        "revision": number,
        "term": 1,
        "epoch": 1,
        "from_phase": before,
        "to_phase": after,
        "because": f"{service} goes to {after}",
        "primary": home[0],
        "backup": home[1],
    }
    return HistoryLine(number, START + at_ms, Transition(**(usual | more)))


def failover(number: int, at_ms: int, service: str = "paspor") -> list[HistoryLine]:
    """One that the controller began by itself, to its end."""
    operation = Operation(f"{service}-{number}", "failover", "the controller", "", J, B)
    own: dict[str, Any] = {"service": service, "operation": operation}
    later: dict[str, Any] = {"service": service, "primary": B, "backup": J, "epoch": 2}
    turned = own | later
    return [
        change(number, at_ms, "PROTECTED COUNTDOWN", **own),
        change(number + 1, at_ms + 2500, "COUNTDOWN PROMOTING", loss_bytes=4096, **turned),
        change(number + 2, at_ms + 3400, "PROMOTING ROUTING", outage_ms=3210, **turned),
        change(number + 3, at_ms + 3500, "ROUTING ALONE", outcome="done", **turned),
        change(number + 4, at_ms + 90 * MINUTE, "ALONE ARMING", **later),
        change(number + 5, at_ms + 91 * MINUTE, "ARMING PROTECTED", **later),
    ]


def happened(number: int, at_ms: int, **more: Any) -> HappeningLine:
    usual: dict[str, Any] = {
        "about": About.CAUTION,
        "subject": "jabodetabek",
        "what": "begins",
        "because": "earthquake of M 6.2 (BMKG)",
        "site": "jabodetabek",
    }
    return HappeningLine(number, START + at_ms, Happening(**(usual | more)))


def planned(number: int, at_ms: int, service: str = "", **more: Any) -> PlanLine:
    usual: dict[str, Any] = {
        "plan_id": "evacuate-jabodetabek-1",
        "kind": PlanKind.EVACUATE,
        "site": "jabodetabek",
        "revision": number,
        "status": PlanStatus.RUNNING,
        "because": "siti asked for it",
        "service": service,
        "step": "moving" if service else "",
        "by": "siti",
        "reason": "flood",
    }
    return PlanLine(number, START + at_ms, PlanChange(**(usual | more)))


def told(*lines: Any, whole: bool = True, **choice: Any) -> Timeline:
    """The timeline of these lines, given in any order."""
    flat = [one for line in lines for one in (line if isinstance(line, list) else [line])]
    kinds = (HistoryLine, PlanLine, HappeningLine)
    changes, plans, happenings = ([x for x in flat if isinstance(x, kind)] for kind in kinds)
    read = Lines(changes, plans, happenings, whole)  # type: ignore[arg-type]
    return timeline(TOPOLOGY, read, Choice(**choice), START + 200 * MINUTE)
