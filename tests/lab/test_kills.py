"""The short form of `lab.kills`: some kills of each kind, some fences, a soak of seconds."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.leases import PROFILES
from lab.base.binaries import wheel_binaries
from lab.base.processes import pids_of
from lab.kills import kill_many
from lab.lone.fences import measure_fences
from lab.lone.lone_agent import LoneAgent
from lab.soak import soak

pytestmark = [pytest.mark.lab, pytest.mark.postgres, pytest.mark.broker, pytest.mark.timeout(300)]

FAST = PROFILES["fast"]


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short, for the sockets' sake."""
    path = Path(tempfile.mkdtemp(prefix="saling-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


async def test_no_write_is_acknowledged_after_the_lease_whoever_is_killed_and_all_come_back(
    directory: Path,
) -> None:
    who = ("agent", "guard", "postmaster", "both")
    async with LoneAgent(directory, FAST) as lone:
        result = await kill_many(lone, who, 10, seed=1, say=print)
    assert result.wrong == []
    assert result.lost == 0
    assert {kill.who for kill in result.kills} == set(who)
    assert pids_of(directory) == []


async def test_fences_under_busy_connections_end_and_guard_and_onlooker_say_when(
    directory: Path,
) -> None:
    spreads = await measure_fences(directory / "f", wheel_binaries(), "namespace", 6, seed=7)
    assert [len(seen) for seen, _ in spreads.values()] == [3, 3]
    assert all(told.percentile_ms(1000) > 0 for _, told in spreads.values())
    assert pids_of(directory) == []


async def test_a_soak_counts_the_gaps_of_each_profile_by_its_agents_metrics(
    directory: Path,
) -> None:
    (seen,), _ = await soak(directory, ("standard",), 4.0)
    assert seen.epochs == 0
    assert sum(seen.gaps.values()) >= 2
    assert pids_of(directory) == []
