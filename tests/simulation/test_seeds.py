"""Every promise holds in some hundred simulated worlds; a failing one names its replay."""

from __future__ import annotations

import pytest

from simulator.profiles import PROFILES
from simulator.run import run

SECONDS = 12
SEEDS = 28
PARTS = 2


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_promises_hold_under_every_profile(profile: str, part: int) -> None:
    """The seeds are the same every time: a failure here is a failure anywhere."""
    seeds = range(part * SEEDS // PARTS, (part + 1) * SEEDS // PARTS)
    results = [run(seed, profile, SECONDS) for seed in seeds]
    broken = [f"{r.broken}\n  {r.replay}" for r in results if r.broken]
    assert not broken, "\n".join(broken)
