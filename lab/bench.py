"""Measures the main job on real processes: `python -m lab.bench [--runs N] [--only NAME ...]`.

Writes one JSON object a run to standard output and a table of medians and extremes at the end
to standard error. Two sites, one service, 100 writes a second, the delays of the lab. The
figures are those of `lab.incident`; `noise_s` is the longest gap without any fault.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from lab.four_sites import Lab
from lab.incident import Act, Watch, act
from lab.plan import Plan, Service
from lab.processes import Child

SERVICE = "paspor"
QUIET_S = 60.0
BUSY_S = 600.0


class Figure(msgspec.Struct, frozen=True):
    """One run of one scenario, in seconds."""

    scenario: str
    profile: str
    outage_s: float
    promotion_s: float
    acked_lost: int
    two_writers_s: float
    lease_ttl_s: float
    noise_s: float
    failed_over: bool


Scenario = Callable[[Lab, Watch], Awaitable[Figure]]


async def engine_killed(lab: Lab, watch: Watch) -> Figure:
    """kill -9 of every process of the primary's engine."""
    site = await lab.primary_site(SERVICE)

    async def fault() -> None:
        lab.kill_engine(SERVICE, site)

    return await _measured(lab, watch, "engine killed", fault, watch.wait_for_writes)


async def site_killed(lab: Lab, watch: Watch) -> Figure:
    """kill -9 of every process of the primary's site."""
    site = await lab.primary_site(SERVICE)

    async def fault() -> None:
        lab.kill_site(site)

    figure = await _measured(lab, watch, "primary site killed", fault, watch.wait_for_writes)
    lab.start_site(site)
    return figure


async def switchover(lab: Lab, watch: Watch) -> Figure:
    """A planned move of one service, with an idle checkpoint."""

    async def fault() -> None:
        await lab.ask_until_accepted(SERVICE, "switchover")

    async def end() -> None:
        await lab.wait_for_phase(SERVICE, "ALONE", "ARMING", "PROTECTED")

    await _checkpoint(lab)
    return await _measured(lab, watch, "planned switchover", fault, end)


async def no_controller(lab: Lab, watch: Watch) -> Figure:
    """The controller and all brokers dead for a minute; before it, a quiet minute."""
    await asyncio.sleep(QUIET_S)

    async def fault() -> None:
        await lab.kill_controller()
        await lab.kill_brokers()

    async def minute() -> None:
        await asyncio.sleep(QUIET_S)

    return await _measured(lab, watch, "controller and brokers killed", fault, minute)


async def controller_back(lab: Lab, watch: Watch) -> Figure:
    """What `no_controller` killed is started again, on the very processors that the engines use."""

    async def start() -> None:
        await lab.start_brokers()
        lab.controller.start()

    async def whole() -> None:
        await lab.wait_until_whole(SERVICE)

    return await _measured(lab, watch, "controller and brokers back", start, whole)


async def busy(lab: Lab, watch: Watch) -> Figure:
    """Ten minutes with every processor kept busy by other work."""
    burners = [
        Child(f"burner {n}", watch.directory / f"burner-{n}.out", ["-c", "while True: pass"])
        for n in range(2)
    ]

    async def fault() -> None:
        for burner in burners:
            burner.start()

    async def end() -> None:
        await asyncio.sleep(BUSY_S)
        for burner in burners:
            await burner.end()
        await lab.wait_until_whole(SERVICE)

    return await _measured(lab, watch, "both cores busy for 10 minutes", fault, end)


SCENARIOS: dict[str, tuple[str, tuple[Scenario, ...]]] = {
    "engine": ("fast", (engine_killed,)),
    "site": ("fast", (site_killed,)),
    "switchover": ("fast", (switchover,)),
    "no-controller": ("fast", (no_controller, controller_back)),
    "busy": ("standard", (busy,)),
}
"""For each name the lease profile, and what is done one after the other in a run."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="lab.bench", description="Measure the main job.")
    parser.add_argument("--runs", type=int, default=5, help="of each scenario (default 5)")
    parser.add_argument("--only", nargs="*", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--profile", default="", help="another lease profile than the scenario's")
    options = parser.parse_args()
    console = Console(stderr=True, highlight=False)
    figures: list[Figure] = []
    for name in options.only:
        profile, scenarios = SCENARIOS[name]
        profile = options.profile or profile
        figures += asyncio.run(_runs(console, scenarios, profile, options.runs))
    console.print(_table(figures))


async def _runs(
    console: Console, scenarios: tuple[Scenario, ...], profile: str, runs: int
) -> list[Figure]:
    directory = Path(tempfile.mkdtemp(prefix="saling-"))
    plan = Plan(directory, (Service(SERVICE, ("jabodetabek", "batam"), profile),))
    figures = []
    async with Lab(plan) as lab, Watch(lab, SERVICE) as watch:
        for _ in range(runs):
            await lab.wait_until_protected()
            await watch.wait_for_writes()
            for scenario in scenarios:
                figure = await scenario(lab, watch)
                figures.append(figure)
                sys.stdout.write(msgspec.json.encode(figure).decode() + "\n")
                sys.stdout.flush()
                console.print(f"{figure.scenario}: no write for {figure.outage_s:.3f} s")
    shutil.rmtree(directory, ignore_errors=True)
    return figures


async def _measured(
    lab: Lab,
    watch: Watch,
    name: str,
    fault: Callable[[], Awaitable[None]],
    end: Callable[[], Awaitable[Any]],
) -> Figure:
    before = await lab.last_known(SERVICE)
    done: Act = await act(watch, name, fault, end)
    after = await lab.last_known(SERVICE)
    return Figure(
        scenario=name,
        profile=lab.plan.service(SERVICE).profile,
        outage_s=done.outage_s,
        promotion_s=done.promotion_s,
        acked_lost=done.acked_lost,
        two_writers_s=done.two_writers_s,
        lease_ttl_s=done.lease_ttl_s,
        noise_s=done.longest_gap_before_s,
        failed_over=after["primary"] != before["primary"],
    )


async def _checkpoint(lab: Lab) -> None:
    connection = await lab.as_superuser(SERVICE, await lab.primary_site(SERVICE))
    try:
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close(timeout=2)


def _table(figures: list[Figure]) -> Table:
    table = Table("scenario", "profile", "runs", "no write for", "promoted after", "acked lost",
                  "two writers", "noise", "moved")  # fmt: skip
    for name, profile in dict.fromkeys((f.scenario, f.profile) for f in figures):
        these = [f for f in figures if (f.scenario, f.profile) == (name, profile)]
        table.add_row(
            name,
            profile,
            str(len(these)),
            _spread([f.outage_s for f in these]),
            _spread([f.promotion_s for f in these if f.promotion_s >= 0]),
            str(max(f.acked_lost for f in these)),
            f"{max(f.two_writers_s for f in these):.2f} s",
            _spread([f.noise_s for f in these]),
            f"{sum(f.failed_over for f in these)}/{len(these)}",
        )
    return table


def _spread(values: list[float]) -> str:
    """Minimum, median, maximum."""
    if not values:
        return "-"
    return f"{min(values):.2f} / {statistics.median(values):.2f} / {max(values):.2f} s"


if __name__ == "__main__":
    main()
