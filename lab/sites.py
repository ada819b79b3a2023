"""Tries whole sites on twelve services: `python -m lab.sites`, as root.

The rows of ROWS are done in labs of four sites in network namespaces, with 20 writes a second on
each service: as many in one lab as can be. A row that fails ends its lab, and the next one begins
with a new one. Progress goes to standard error, the table to standard output, and with
`--output FILE` all figures to a JSON file. Exit code: 0 when every row held and was in time, 1
otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import msgspec

from config.leases import PROFILES
from lab.base.grid import grid
from lab.base.plan import Plan
from lab.roads.namespaces import why_not
from lab.running.four_sites import Lab
from lab.whole.degraded import commits_are_slow, disk_fills, power_fails, small_disk
from lab.whole.drilled import site_drilled
from lab.whole.fleet import Fleet
from lab.whole.links import controller_cut_off, link_cut
from lab.whole.lost import LOSSES, all_at_home, site_lost
from lab.whole.moved import site_moved
from lab.whole.partner import partner_fails, partner_too_small
from lab.whole.told import Told
from lab.whole.twelve import PARTNER, SITE, twelve

Row = Callable[[Fleet], Awaitable[Told]]
DEGRADED: dict[str, tuple[str, Row]] = {
    "degraded": ("power", power_fails),
    "degraded-disk": ("disk", disk_fills),
    "degraded-latency": ("latency", commits_are_slow),
}
"""Each with the reason for which a site is left in its lab. Within the dwell time it is left once,
so a lab has one such row once."""
REASON = "power"
"""In the labs of all other rows."""
ROWS: dict[str, Row] = {
    "link-cut": link_cut,
    "link-one-way": partial(link_cut, one_way=True),
    "controller-cut-off": controller_cut_off,
    "evacuate": lambda fleet: _moved(fleet, "evacuate", PARTNER),
    "failback": lambda fleet: _moved(fleet, "failback", SITE, "--now"),
    "drill": site_drilled,
    **{name: partial(site_lost, loss=loss) for name, loss in LOSSES.items()},
    **{name: row for name, (_, row) in DEGRADED.items()},
    "partner-fails": partner_fails,
    "partner-too-small": partner_too_small,
}
"""In an order in which each finds the services where it wants them, or has them moved first."""
START_S, ROW_S = 240.0, 480.0


class Report(msgspec.Struct):
    """What all rows came to."""

    profile: str
    """Of all leases."""
    load: tuple[float, float]
    told: list[Told] = []
    failed: list[str] = []


def main() -> None:
    parser = argparse.ArgumentParser(prog="lab.sites", description="Try whole sites.")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--runs", type=int, default=1, help="of each row (default 1)")
    parser.add_argument("--profile", choices=PROFILES, default="fast", help="of the leases")
    parser.add_argument("--output", type=Path, help="all figures, as JSON")
    options = parser.parse_args()
    if reason := why_not():
        sys.exit(reason)
    load = os.getloadavg()[0]
    report = Report(options.profile, (load, load))
    try:
        asyncio.run(_all([name for name in options.only for _ in range(options.runs)], report))
    except (asyncio.CancelledError, KeyboardInterrupt):
        sys.exit("interrupted: no table was written")
    report.load = (load, os.getloadavg()[0])
    print(_table(report))
    if options.output:
        options.output.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    sys.exit(1 if report.failed or any(told.broken or told.late for told in report.told) else 0)


async def _all(names: list[str], report: Report) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    while names:
        name, done = names.pop(0), list[str]()
        with tempfile.TemporaryDirectory(prefix="saling-", ignore_cleanup_errors=True) as directory:
            plan = twelve(Path(directory), _reason(name), report.profile)
            try:
                async with AsyncExitStack() as stack:
                    fleet = await _begin(plan, _reason(name), stack)
                    await _row(fleet, name, report)
                    while names and _may_follow(names[0], [*done, name]):
                        done.append(name)
                        name = names.pop(0)
                        await _row(fleet, name, report)
            except Exception as error:  # noqa: BLE001 - a row that fails in any way is a result
                report.failed.append(f"{name}: {type(error).__name__}: {error}")
                _say(report.failed[-1])


def _reason(name: str) -> str:
    return DEGRADED[name][0] if name in DEGRADED else REASON


def _may_follow(name: str, done: list[str]) -> bool:
    """Whether a row can be done in the lab in which these were done."""
    same_reason = all(_reason(other) == _reason(name) for other in done)
    return same_reason and not (name in DEGRADED and name in done)


async def _begin(plan: Plan, reason: str, stack: AsyncExitStack) -> Fleet:
    if reason == "disk":
        stack.enter_context(small_disk(plan))
    async with asyncio.timeout(START_S):
        lab = await stack.enter_async_context(Lab(plan, _say, "namespaces"))
        return await stack.enter_async_context(Fleet(lab))


async def _row(fleet: Fleet, name: str, report: Report) -> None:
    async with asyncio.timeout(ROW_S):
        if name != "failback":
            await all_at_home(fleet.lab)
        await fleet.wait_for_writes()
        told = await ROWS[name](fleet)
    report.told.append(told)
    _say(f"{name}: {told.median_outage_s()} s; broken: {told.broken}; late: {told.late}")
    for note in told.notes:
        _say(f"  {note}")


async def _moved(fleet: Fleet, kind: str, to_site: str, *more: str) -> Told:
    services = [service for service in fleet.lab.plan.services if service.sites[0] == SITE]
    command = (kind, SITE, *more, "--reason", "a trial")
    return await site_moved(fleet, command, services, to_site)


def _table(report: Report) -> str:
    heads = (
        "scenario", "moved", "no write for: min / median / max", "served elsewhere after",
        "acked lost (sync / async)", "two writers", "longest gap of those that stayed", "held",
        "in time",
    )  # fmt: skip
    lines = [grid(heads, [_line(told) for told in report.told])]
    for told in report.told:
        lines += [f"- {told.name}: {text}" for text in (*told.broken, *told.late, *told.notes)]
    lines += [f"- failed: {text}" for text in report.failed]
    before, after = report.load
    return "\n".join([*lines, f"leases: {report.profile}; load: {before:.1f}, then {after:.1f}"])


def _line(told: Told) -> tuple[str, ...]:
    moved, stayed = told.moved(), told.stayed()
    outages = sorted(cost.outage_s for cost in moved)
    served = [cost.served_s for cost in moved]
    lost = {kind: sum(c.acked_lost for c in told.costs if c.protection == kind)
            for kind in ("sync", "async")}  # fmt: skip
    span = "-"
    if outages:
        span = f"{outages[0]:.2f} / {told.median_outage_s():.2f} / {outages[-1]:.2f} s"
    return (
        told.name,
        f"{len(moved)} of {len(told.costs)}",
        span,
        f"{min(served):.2f} to {max(served):.2f} s" if moved else "-",
        f"{lost['sync']} / {lost['async']}",
        f"{max(cost.two_writers_s for cost in told.costs):g} s",
        f"{max((cost.outage_s for cost in stayed), default=0):.2f} s",
        "no" if told.broken else "yes",
        told.in_time(),
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
