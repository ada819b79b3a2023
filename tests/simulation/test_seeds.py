"""Every promise holds in some hundred simulated worlds; a failing one names its replay."""

from __future__ import annotations

import pytest

from simulator.profiles import PROFILES
from simulator.run import run

SECONDS = 12
SEEDS = 28
PARTS = 2

MENDED = (
    ("everything", 1316, 30, "sync was believed before the backup had the older commits"),
    ("everything", 1761, 30, "a new controller forgets the last proof, the loss is understated"),
)
"""Profile, seed, seconds and story of worlds that once broke a promise."""


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_promises_hold_under_every_profile(profile: str, part: int) -> None:
    """The seeds are the same every time: a failure here is a failure anywhere."""
    seeds = range(part * SEEDS // PARTS, (part + 1) * SEEDS // PARTS)
    results = [run(seed, profile, SECONDS) for seed in seeds]
    broken = [f"{r.broken}\n  {r.replay}" for r in results if r.broken]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(("profile", "seed", "seconds", "story"), MENDED)
def test_worlds_that_once_broke_hold(profile: str, seed: int, seconds: int, story: str) -> None:
    """One seed a bug, kept for ever."""
    result = run(seed, profile, seconds)
    assert not result.broken, f"{story}\n{result.broken}\n{result.replay}"
