"""Runs one seed and says how it ended."""

from __future__ import annotations

import time
from random import Random

from msgspec import Struct

from simulator.checkers.fences import NobodyFenced
from simulator.draw import draw_setting
from simulator.ending import let_a_site_die, run_until_well
from simulator.excuses import Excuses
from simulator.fate import Fate
from simulator.profiles import PROFILES, Profile
from simulator.setting import Setting
from simulator.strike import Strike
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
    excused: str = ""
    """The rule that broke though no promise did: the profile says that it may."""
    story: str = ""

    @property
    def speed(self) -> str:
        """Simulated seconds in a second of one core."""
        return f"{self.simulated_ms / 1000 / self.took_s:.0f} s a second and core"

    @property
    def replay(self) -> str:
        """The command that shows this run."""
        return (
            f"python -m simulator --replay {self.seed} --profile {self.profile} "
            f"--seconds {self.seconds}"
        )


class Script(Struct, frozen=True):
    """A run with nothing left to fate: the dice of the world, its setting, and all strikes."""

    seed: int
    profile: str
    seconds: int
    setting: Setting
    strikes: tuple[Strike, ...]
    death: Strike | None = None
    """The end of a site, where the profile has one: what came of the dice, once all was well."""


def run(seed: int, profile: str, seconds: int = SECONDS, keep_story: bool = False) -> Result:
    """One world, from its seed to its end, struck as fate will have it."""
    return run_drawn(seed, profile, seconds, keep_story)[0]


def run_drawn(seed: int, profile: str, seconds: int, keep_story: bool) -> tuple[Result, Script]:
    """The same, and what was drawn, so that it can be done again or made smaller."""
    setting = draw_setting(Random(f"setting {profile} {seed}"), PROFILES[profile])
    world = World(seed, setting, keep_story)
    end_ms = world.begin_ms + seconds * 1000
    world.watch.add(Fate(world, PROFILES[profile], Random(f"fate {profile} {seed}"), end_ms))
    result = _live(world, seed, PROFILES[profile], seconds)
    strikes = tuple(strike for strike in world.struck if strike.at_ms < end_ms)
    death = next((strike for strike in world.struck if strike.at_ms >= end_ms), None)
    return result, Script(seed, profile, seconds, setting, strikes, death)


def run_script(script: Script, keep_story: bool = False) -> Result:
    """One world whose strikes are written down."""
    world = World(script.seed, script.setting, keep_story)
    for strike in script.strikes:
        world.strike(strike)
    return _live(world, script.seed, PROFILES[script.profile], script.seconds)


def _live(world: World, seed: int, profile: Profile, seconds: int) -> Result:
    begun_s = time.perf_counter()
    broken = rule = excused = ""
    for host in world.hosts:
        host.strays_allowed = profile.strays
    excuses = Excuses(world.setting.services)
    world.watch.add(excuses)
    if profile.must_not_fence:
        world.watch.add(NobodyFenced(profile.must_not_fence))
    try:
        _until_the_end(world, seed, profile, seconds)
    except Broken as error:
        world.kernel.tell("BROKEN", str(error))
        broken, rule = str(error), error.rule
        if rule in profile.not_promised and excuses.excuse(error):
            excused, broken, rule = rule, "", ""
    return Result(
        seed=seed,
        profile=profile.name,
        seconds=seconds,
        digest=world.kernel.story.digest,
        simulated_ms=world.kernel.now_ms,
        took_s=time.perf_counter() - begun_s,
        broken=broken,
        rule=rule,
        excused=excused,
        story=world.kernel.story.text(),
    )


def _until_the_end(world: World, seed: int, profile: Profile, seconds: int) -> None:
    """The faults, the healing, and the proof that all is well again."""
    world.start()
    world.kernel.run_until(world.begin_ms + seconds * 1000)
    world.heal()
    run_until_well(world)
    if profile.site_dies:
        let_a_site_die(world, Random(f"death {seed}"))
