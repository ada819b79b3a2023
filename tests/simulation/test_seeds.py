"""Every promise holds in some hundred simulated worlds; a failing one names its replay."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor

import pytest

from simulator.many import Count, run_task
from simulator.profiles import PROFILES

SECONDS = 12
SEEDS_IN_ALL = 540
PROCESSES = 2


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    """As many processes as the smallest machine that must be enough has cores."""
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(PROCESSES, context) as executor:
        yield executor


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_promises_hold_under_every_profile(profile: str, pool: Executor, count: Count) -> None:
    """The seeds are the same every time: a failure here is a failure anywhere."""
    seeds = range(-(-SEEDS_IN_ALL // len(PROFILES)))
    broken = []
    for result in pool.map(run_task, [(seed, profile, SECONDS) for seed in seeds], chunksize=2):
        count.add(result)
        if result.broken:
            broken.append(f"{result.broken}\n  {result.replay}")
    assert not broken, "\n".join(broken)
