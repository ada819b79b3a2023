"""Measures Saling, and peers beside it, on real processes: `python -m lab.bench`, `make bench`.

Every scenario of `lab.benches.scenarios` is run n times under each of its profiles: two sites, one
service, 100 writes a second, the delays of the lab. Progress goes to standard error, the table
to standard output and, with `--output PREFIX`, to PREFIX.md and PREFIX.json. A run that fails
is counted and listed with its reason, and the next one begins with everything made anew.
Exit code: 0 when every run came to figures, 1 otherwise or when it is interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from config.leases import PROFILES
from lab.benches import table as bench_table
from lab.benches.scenarios import SCENARIOS, SERVICE, Done, Scenario
from lab.benches.systems import PEERS, System, saling, systems_of
from lab.benches.table import Failure, Figure, Report
from lab.incidents.incident import Act, Watch
from lab.incidents.judged import Judged
from lab.incidents.slot_lost import SlotLost
from lab.incidents.unkind import Unkind
from lab.running.ground import Ground

START_S = 15.0
"""How long it takes to set two sites up and take them down."""
START_LIMIT_S = 150.0
PATIENCE = 2.0
"""A run that takes so many times as long as expected, and SLACK_S, has failed."""
SLACK_S = 45.0


@dataclass(frozen=True)
class Batch:
    """All runs of one scenario with one system."""

    name: str
    scenario: Scenario
    system: System
    runs: int

    @property
    def run_s(self) -> float:
        return (
            self.scenario.run_s
            + self.scenario.leases * self.system.lease_ttl_s
            + self.system.look_s
        )

    @property
    def limit_s(self) -> float:
        """For one run."""
        return PATIENCE * self.run_s + SLACK_S

    @property
    def bound_s(self) -> float:
        """For all of it, if every run fails at its limit and begins with a new ground."""
        return self.runs * (START_LIMIT_S + self.limit_s)

    @property
    def expected_s(self) -> float:
        return START_S + self.runs * self.run_s

    @property
    def title(self) -> str:
        return f"{self.name}, {self.system.name} {self.system.profile}"


def main() -> None:
    options = _options()
    if options.list:
        print(_listing())
        return
    chosen = {name: SCENARIOS[name] for name in options.only}
    skipped = {name: why for name, one in chosen.items() if (why := one.hindrance())}
    batches = list(_batches({n: s for n, s in chosen.items() if n not in skipped}, options))
    _say(
        f"{sum(b.runs for b in batches)} runs: about {_minutes(sum(b.expected_s for b in batches))}"
        f"; if every one failed, {_minutes(sum(b.bound_s for b in batches))} at most"
    )
    begun_at, load = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), os.getloadavg()[0]
    try:
        figures, failures = asyncio.run(_all(batches))
    except (asyncio.CancelledError, KeyboardInterrupt):
        # Everything that was started has been ended by now.
        sys.exit("interrupted: no table was written")
    rows = bench_table.rows_of(figures, failures)
    report = Report(
        begun_at=begun_at,
        cores=os.cpu_count() or 0,
        load=(load, os.getloadavg()[0]),
        options=sys.argv[1:],
        rows=rows,
        sides=bench_table.sides_of(figures),
        disks=bench_table.disks_of(figures),
        ways=bench_table.ways_of(figures),
        ratios=bench_table.ratios_of(rows),
        failures=failures,
        skipped=skipped,
        figures=figures,
    )
    print(bench_table.markdown(report))
    if options.output:
        bench_table.write(report, options.output)
    sys.exit(1 if failures else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="lab.bench", description="Measure the main job.")
    parser.add_argument("--runs", type=_count, default=3, help="of each scenario (default 3)")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument(
        "--profile", nargs="+", choices=PROFILES, default=(), help="instead of the scenario's own"
    )
    parser.add_argument("--peer", choices=PEERS, default="", help="measure it beside Saling")
    parser.add_argument("--output", type=Path, help="PREFIX: write PREFIX.md and PREFIX.json")
    parser.add_argument("--list", action="store_true", help="name the scenarios and end")
    return parser.parse_args()


def _batches(scenarios: dict[str, Scenario], options: argparse.Namespace) -> Iterator[Batch]:
    """Side by side: a scenario's batches follow each other, so that the machine is the same."""
    for name, scenario in scenarios.items():
        runs = min(options.runs, scenario.runs_at_most)
        for profile in options.profile or scenario.profiles:
            yield Batch(name, scenario, saling(profile), runs)
        for system in systems_of(options.peer) if scenario.peers else ():
            yield Batch(name, scenario, system, runs)


async def _all(batches: list[Batch]) -> tuple[list[Figure], list[Failure]]:
    task = asyncio.current_task()
    assert task is not None
    # Told to end, it ends everything that it started, as it does on Ctrl-C.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    figures: list[Figure] = []
    failures: list[Failure] = []
    for batch in batches:
        done, failed = await _batch(batch)
        figures += done
        failures += failed
    return figures, failures


async def _batch(batch: Batch) -> tuple[list[Figure], list[Failure]]:
    """All runs of a batch on one ground, which a failed run leaves to a new one."""
    figures: list[Figure] = []
    failures: list[Failure] = []
    run = 1
    while run <= batch.runs:
        with tempfile.TemporaryDirectory(prefix="saling-", ignore_cleanup_errors=True) as directory:
            try:
                async with AsyncExitStack() as stack:
                    watch = await _ground(batch, Path(directory), stack)
                    while run <= batch.runs:
                        done = await _run(batch, watch, run)
                        figures += done
                        _judge(done)
                        run += 1
            except Exception as error:  # noqa: BLE001 - a failed run of any kind is a result
                reason = f"{type(error).__name__}: {error}"
                system = batch.system
                failures.append(Failure(system.name, system.profile, batch.name, run, reason))
                _say(f"{batch.title}, run {run} failed: {reason}")
                run += 1
    return figures, failures


async def _ground(batch: Batch, directory: Path, stack: AsyncExitStack) -> Watch[Ground]:
    async with asyncio.timeout(START_LIMIT_S):
        ground = await stack.enter_async_context(
            batch.system.make(directory, batch.scenario.network, batch.scenario.service)
        )
        return await stack.enter_async_context(Watch(ground, SERVICE))


async def _run(batch: Batch, watch: Watch[Ground], run: int) -> list[Figure]:
    async with asyncio.timeout(batch.limit_s):
        await watch.lab.wait_until_whole(SERVICE)
        await watch.wait_for_writes()
        # A system that has just said that it is whole has just looked, and would look late again.
        await asyncio.sleep(random.uniform(0, batch.system.look_s))
        incidents = await batch.scenario.do(watch)
    figures = [_figure(batch, run, done) for done in incidents]
    for figure in figures:
        _say(
            f"{batch.title}, run {run} of {batch.runs}: {figure.incident}: "
            f"no write for {figure.outage_s:.3f} s, {figure.acked_lost} lost"
        )
    return figures


def _judge(figures: list[Figure]) -> None:
    """Raises RuntimeError for what must not be: a run may have figures and fail."""
    if found := [figure.wrong for figure in figures if figure.wrong]:
        raise RuntimeError("; ".join(found))


def _figure(batch: Batch, run: int, incident: Done) -> Figure:
    """With all else that was seen, where there is more than the act."""
    if isinstance(incident, Act):
        done, wrong = incident, ""
    else:
        done, wrong = incident.act_and_after(), incident.wrong()
    notes = incident.notes if isinstance(incident, Unkind | Judged) else ()
    return Figure(
        system=batch.system.name,
        profile=batch.system.profile,
        scenario=batch.name,
        incident=done.name,
        run=run,
        outage_s=done.outage_s,
        promotion_s=done.promotion_s,
        acked_lost=done.acked_lost,
        two_writers_s=done.two_writers_s,
        lease_ttl_s=done.lease_ttl_s,
        noise_s=done.longest_gap_before_s,
        wrong=wrong,
        notes=notes,
        unkind=incident if isinstance(incident, Unkind) else None,
        slot_lost=incident if isinstance(incident, SlotLost) else None,
    )


def _listing() -> str:
    lines = []
    for name, one in SCENARIOS.items():
        needs = f" ({why})" if (why := one.hindrance()) else ""
        what = (one.do.__doc__ or "").splitlines()[0]
        lines.append(f"{name:15} {', '.join(one.profiles):15} {what}{needs}")
    return "\n".join(lines)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is below 1")
    return number


def _minutes(span_s: float) -> str:
    return f"{max(1, round(span_s / 60))} min"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
