"""What a seed draws is data: done again without fate, it goes the very same way."""

from __future__ import annotations

import pytest

from simulator.profiles import PROFILES
from simulator.run import run_drawn, run_script


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_strikes_that_were_written_down_tell_the_same_story(profile: str) -> None:
    """Fate has dice of its own, so that the world's fall the same without it."""
    for seed in range(2):
        drawn, script = run_drawn(seed, profile, 8, False)
        assert run_script(script).digest == drawn.digest
