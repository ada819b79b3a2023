"""Runs many seeds on several processes, with progress, and counts how they ended."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import msgspec

from simulator.command import end_quietly_on_interrupt
from simulator.run import Result, run

PROGRESS_EVERY_S = 5.0

Task = tuple[int, str, int]
"""Seed, profile, seconds."""


class Count:
    """How many passed and failed, and how fast it went."""

    def __init__(self) -> None:
        self.passed = self.failed = self.excused = self._simulated_ms = 0
        self._took_s = 0.0

    def add(self, result: Result) -> None:
        """One more has ended."""
        self.failed += bool(result.broken)
        self.passed += not result.broken
        self.excused += bool(result.excused)
        self._simulated_ms += result.simulated_ms
        self._took_s += result.took_s

    @property
    def text(self) -> str:
        """For people and scripts."""
        return f"{self.passed} passed, {self.failed} failed"

    @property
    def speed(self) -> str:
        """Simulated time, and how much of it went by in a second of one core."""
        simulated_s = self._simulated_ms / 1000
        rate = simulated_s / self._took_s if self._took_s else 0
        excused = f", {self.excused} ended by what is not promised" if self.excused else ""
        return f"{simulated_s / 3600:.2f} h simulated, {rate:.0f} s a second and core{excused}"


def run_many(seeds: range, profiles: list[str], seconds: int, jobs: int, *, as_json: bool) -> int:
    """Run them all, and print what broke; 1 if anything did. The last line counts, also those
    that had ended before an interruption."""
    tasks = [(seed, profile, seconds) for seed in seeds for profile in profiles]
    count = Count()
    try:
        _run_all(tasks, jobs, count, as_json)
    finally:
        print(count.speed, file=sys.stderr)
        print(count.text, file=sys.stderr if as_json else sys.stdout)
    return 1 if count.failed else 0


def _run_all(tasks: list[Task], jobs: int, count: Count, as_json: bool) -> None:
    told_s = time.monotonic()
    for done, result in enumerate(_results(tasks, jobs), start=1):
        count.add(result)
        if as_json:
            print(msgspec.json.encode(result).decode(), flush=True)
        elif result.broken:
            print(f"seed {result.seed}: {result.broken}\n  {result.replay}", flush=True)
        if time.monotonic() - told_s > PROGRESS_EVERY_S:
            told_s = time.monotonic()
            print(f"{done} of {len(tasks)}, {count.failed} failed", file=sys.stderr, flush=True)


def run_task(task: Task) -> Result:
    """One seed, as a process is told of it."""
    seed, profile, seconds = task
    return run(seed, profile, seconds)


def _results(tasks: list[Task], jobs: int) -> Iterator[Result]:
    # More processes than cores or tasks would only have to be started.
    jobs = min(jobs, len(tasks), os.cpu_count() or 1)
    if jobs <= 1:
        yield from map(run_task, tasks)
        return
    with ProcessPoolExecutor(jobs, initializer=end_quietly_on_interrupt) as pool:
        yield from pool.map(run_task, tasks, chunksize=4)
