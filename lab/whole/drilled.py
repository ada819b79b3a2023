"""A living site is drilled: left, looked at and gone back to, and the report says what it cost."""

from __future__ import annotations

from typing import Any

import msgspec

from controller.cli.exits import Exit
from lab.base.plan import Service
from lab.incidents.unkind import Fault
from lab.running.command import saling
from lab.whole.fleet import Cost, Fleet
from lab.whole.lost import until_at
from lab.whole.moved import until_over
from lab.whole.told import Told, against_every_promise
from lab.whole.twelve import SITE

LEGS = ("away", "back")


async def site_drilled(fleet: Fleet) -> Told:
    """`saling drill`, until it is over; then its report, as `saling drill --report` gives it.

    It ends with everything PROTECTED and every service where it was.
    """
    lab = fleet.lab
    here = [service for service in lab.plan.services if service.sites[0] == SITE]

    async def ask() -> None:
        await _said(fleet, "drill", SITE, "--yes", "--no-wait", "--by", "the lab")

    async def nothing() -> None:
        """What was moved is back already."""

    async def end() -> None:
        over = await until_over(fleet)
        if over["status"] != "done":
            raise AssertionError(f"{over['id']} is {over['status']}: {over['because']}")
        await until_at(lab, SITE, here)

    costs = await fleet.costs(Fault("drill", ask, nothing), end)
    await lab.wait_until_protected()
    report = msgspec.json.decode(await _said(fleet, "drill", "--report", "--output", "json"))
    broken = [*_against_the_moves(costs, here), *_against_the_report(report, here)]
    late = (report["because"],) if report["verdict"] != "passed" else ()
    figures = tuple(_figures(report))
    return Told("drill", tuple(costs), tuple(broken), "its report's targets", late, figures)


async def _said(fleet: Fleet, *command: str) -> str:
    """What `saling` prints. A drill that missed its targets is told by exit code 3."""
    code, told = await saling(fleet.lab, *command)
    if code not in (Exit.OK, Exit.DEGRADED):
        raise AssertionError(f"saling {' '.join(command)} ended with {code}: {told}")
    return told


def _against_the_moves(costs: list[Cost], here: list[Service]) -> list[str]:
    names = [service.name for service in here]
    broken = against_every_promise(costs, names)
    broken += [f"{c.service}: {c.acked_lost} acknowledged writes lost" for c in costs
               if c.acked_lost]  # fmt: skip
    broken += [f"{c.service} was moved" for c in costs if c.moved and c.service not in names]
    return broken + [f"{c.service} was not moved" for c in costs
                     if not c.moved and c.service in names]  # fmt: skip


def _against_the_report(report: dict[str, Any], here: list[Service]) -> list[str]:
    """It tells of every service, both moves done and nothing lost, and of no other one."""
    told = {one["service"]: one for one in report["services"]}
    broken = []
    if set(told) != {service.name for service in here}:
        broken.append(f"the report tells of {', '.join(sorted(told))}")
    for name, one in told.items():
        for leg in LEGS:
            if one[leg] is None or one[leg]["status"] != "done":
                broken.append(f"the report says of {name}, {leg}: {one[leg]}")
        if one["rpo_ms"] > 0:
            broken.append(f"the report says that {name} lost {one['rpo_ms']} ms")
        if f"| {name} |" not in report["markdown"]:
            broken.append(f"{name} is not in the report's Markdown")
    return broken


def _figures(report: dict[str, Any]) -> list[str]:
    """The verdict, and a sentence for each service."""
    said = [f"{report['id']} {report['verdict']}: {report['because']}"]
    return said + [
        f"{one['service']}: outage {one['away']['outage_ms']} ms away, "
        f"{one['back']['outage_ms']} ms back, of {one['rto_target_ms']} ms; "
        f"worst case {one['worst_case_rto_ms']} ms"
        for one in report["services"]
        if one["away"] and one["back"]
    ]
