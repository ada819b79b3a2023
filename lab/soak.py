"""Renews leases beside a load for a long time: `python -m lab.soak --minutes 30`.

A lab of two sites with one service a profile, and beside it two processes that keep the
processors busy and one that writes and flushes to the disk. In the end it prints, for each
profile, the histogram of the gaps between renewals as the agents counted them, and whether there
was a failover. Exit status 1 when there was one with another profile than `fast`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import signal
import ssl
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from agents.metrics import GAP_P999
from config.leases import PROFILES
from config.timeliness import LATE_SHARE
from lab.base.plan import Plan, Service
from lab.base.processes import Child, module
from lab.clients.noise import Noise, Noises
from lab.running.four_sites import Lab

GAPS = "saling_agent_renewal_gap_seconds"
SITES = ("jabodetabek", "batam")
MAY_MOVE = ("fast",)
"""A profile for who takes a needless failover over a long outage; docs/figures.md says when."""
BUSY_PROCESSES = 2
FETCH_LIMIT = aiohttp.ClientTimeout(total=10)


@dataclass
class Seen:
    """What became of one service."""

    service: str
    profile: str
    epochs: int = 0
    """How many failovers there were."""
    gaps: Counter[float] = field(default_factory=Counter)
    """How many there were, by the upper end of their bucket in seconds."""
    p999_ms: int = 0
    """The higher one of both agents; 0 when both renewed too few times."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="lab.soak", description="Renew beside a load.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--profile", default="fast,standard", help="with commas between them")
    options = parser.parse_args()
    profiles = tuple(options.profile.split(","))
    if unknown := set(profiles) - set(PROFILES):
        parser.error(f"--profile: {', '.join(unknown)}; known are {', '.join(PROFILES)}")
    console = Console(highlight=False, width=100)
    directory = Path(tempfile.mkdtemp(prefix="saling-"))
    try:
        seen, noise = asyncio.run(soak(directory, profiles, options.minutes * 60))
    except asyncio.CancelledError:
        sys.exit("ended by SIGTERM")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    for one in seen:
        console.print(_table(one))
        console.print(_verdict(one))
    console.print(f"Meanwhile (p50 / p99 / p99.9 / max): {noise}")
    sys.exit(1 if any(one.epochs and one.profile not in MAY_MOVE for one in seen) else 0)


async def soak(
    directory: Path, profiles: tuple[str, ...], seconds: float
) -> tuple[list[Seen], Noise]:
    """Run the lab and the load for so long. Raises TimeoutError when the lab does not start."""
    work = asyncio.current_task()
    assert work is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    services = tuple(Service(f"of-{profile}", SITES, profile) for profile in profiles)
    lab = Lab(Plan(directory, services))
    async with lab, Noises(directory) as noises:
        before = await lab.services()
        load = _load(directory)
        try:
            for child in load:
                child.start()
            await asyncio.sleep(seconds)
        finally:
            for child in load:
                await child.end()
        noise = await noises.end()
        seen = []
        for service in services:
            await lab.wait_until_whole(service.name)
            now = await lab.last_known(service.name)
            epochs = int(now["epoch"]) - int(before[service.name]["epoch"])
            seen.append(Seen(service.name, service.profile, epochs))
        await _read_gaps(lab, seen)
    return seen, noise


def _load(directory: Path) -> list[Child]:
    burn = ["-c", "while True: pass"]
    busy = [Child(f"busy {n}", directory / "busy.out", burn) for n in range(BUSY_PROCESSES)]
    file = str(directory / "load.block")
    return [
        *busy,
        Child("disk writer", directory / "disk.out", module("lab.clients.soak_disk", file)),
    ]


async def _read_gaps(lab: Lab, seen: list[Seen]) -> None:
    """From both agents: a service that moved was renewed at both."""
    by_service = {one.service: one for one in seen}
    for site in SITES:
        for family in text_string_to_metric_families(await _metrics(lab, site)):
            below: Counter[str] = Counter()
            for sample in family.samples:
                one = by_service.get(sample.labels.get("service", ""))
                if one is None:
                    continue
                if sample.name == f"{GAPS}_bucket":
                    count = int(sample.value) - below[one.service]
                    below[one.service] = int(sample.value)
                    one.gaps[float(sample.labels["le"])] += count
                elif sample.name == GAP_P999:
                    one.p999_ms = max(one.p999_ms, round(sample.value * 1000))


async def _metrics(lab: Lab, site: str) -> str:
    context = ssl.create_default_context()
    # The lab's own agent on loopback: its certificate names the agent and not the address.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connector = aiohttp.TCPConnector(ssl=context)
    url = f"https://{lab.plan.address(f'agent {site}')}/metrics"
    async with (
        aiohttp.ClientSession(connector=connector, timeout=FETCH_LIMIT) as http,
        http.get(url) as answer,
    ):
        return await answer.text()


def _table(one: Seen) -> Table:
    table = Table("gap up to", "renewals", "share", title=f"profile {one.profile}")
    total = sum(one.gaps.values())
    for upper_s, count in sorted(one.gaps.items()):
        if count:
            name = "longer" if upper_s == float("inf") else f"{upper_s:g} s"
            table.add_row(name, str(count), f"{100 * count / total:.2f} %")
    return table


def _verdict(one: Seen) -> str:
    terms = PROFILES[one.profile]
    late_ms = max(0, one.p999_ms - terms.renew_ms)
    late = f"p99.9 is {late_ms} ms late" if one.p999_ms else "too few for a p99.9"
    moved = f"{one.epochs} failovers" if one.epochs else "no failover"
    limit_ms = terms.ttl_ms // LATE_SHARE
    return f"{one.profile}: {moved}; renewals due every {terms.renew_ms} ms, {late}; " + (
        f"TTL/{LATE_SHARE} is {limit_ms} ms"
    )


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
