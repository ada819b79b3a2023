"""Runs one seed and says how it ended."""

from __future__ import annotations

import time

from msgspec import Struct

from simulator.profiles import PROFILES
from simulator.watch import Broken
from simulator.world import World

SECONDS = 30


class Result(Struct, frozen=True):
    """How one seed ended. `broken` is empty when every promise held."""

    seed: int
    profile: str
    seconds: int
    digest: str
    simulated_ms: int
    took_s: float
    broken: str = ""
    rule: str = ""
    story: str = ""

    @property
    def replay(self) -> str:
        """The command that shows this run."""
        return (
            f"python -m simulator --replay {self.seed} --profile {self.profile} "
            f"--seconds {self.seconds}"
        )


def run(seed: int, profile: str, seconds: int = SECONDS, keep_story: bool = False) -> Result:
    """One world, from its seed to its end."""
    begun_s = time.perf_counter()
    world = World(seed, PROFILES[profile], seconds, keep_story)
    broken = rule = ""
    try:
        world.run()
    except Broken as error:
        broken, rule = str(error), error.rule
        world.kernel.tell("BROKEN", broken)
    return Result(
        seed=seed,
        profile=profile,
        seconds=seconds,
        digest=world.kernel.story.digest,
        simulated_ms=world.kernel.now_ms,
        took_s=time.perf_counter() - begun_s,
        broken=broken,
        rule=rule,
        story=world.kernel.story.text() if keep_story else "",
    )
