"""Runs many seeds on several processes, with progress, and counts how they ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import msgspec

from simulator.run import Result, run

PROGRESS_EVERY_S = 5.0

Task = tuple[int, str, int]
"""Seed, profile, seconds."""


def run_many(seeds: range, profiles: list[str], seconds: int, jobs: int, *, as_json: bool) -> int:
    """Run them all, and print what broke; 1 if anything did. The last line counts."""
    tasks = [(seed, profile, seconds) for seed in seeds for profile in profiles]
    count = _Count(len(tasks))
    for result in _results(tasks, jobs):
        count.add(result)
        if as_json:
            print(msgspec.json.encode(result).decode(), flush=True)
        elif result.broken:
            print(f"seed {result.seed}: {result.broken}\n  {result.replay}", flush=True)
    print(count.speed, file=sys.stderr)
    print(f"{count.passed} passed, {count.failed} failed")
    return 1 if count.failed else 0


class _Count:
    """How many passed and failed, and how fast it goes; tells of it now and then."""

    def __init__(self, of: int) -> None:
        self._of = of
        self.passed = self.failed = self._simulated_ms = 0
        self._took_s = 0.0
        self._told_s = time.monotonic()

    def add(self, result: Result) -> None:
        """One more has ended."""
        self.failed += bool(result.broken)
        self.passed += not result.broken
        self._simulated_ms += result.simulated_ms
        self._took_s += result.took_s
        if time.monotonic() - self._told_s > PROGRESS_EVERY_S:
            self._told_s = time.monotonic()
            done = self.passed + self.failed
            print(f"{done} of {self._of}, {self.failed} failed", file=sys.stderr, flush=True)

    @property
    def speed(self) -> str:
        """Simulated time, and how much of it went by in a second of one core."""
        simulated_s = self._simulated_ms / 1000
        rate = simulated_s / self._took_s if self._took_s else 0
        return f"{simulated_s / 3600:.2f} h simulated, {rate:.0f} s a second and core"


def _results(tasks: list[Task], jobs: int) -> Iterator[Result]:
    if jobs <= 1:
        yield from map(_run, tasks)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(_run, tasks, chunksize=4)


def _run(task: Task) -> Result:
    seed, profile, seconds = task
    return run(seed, profile, seconds)
