"""Plays a scenario, and says what happened and whether all that it expects came true."""

from __future__ import annotations

from msgspec import Struct

from simulator.checkers.fences import NobodyFenced
from simulator.ending import run_until_well
from simulator.scenarios.script import Scenario, Want
from simulator.scenarios.witness import Witness
from simulator.watch import Broken
from simulator.world import World

FENCED = "I6, I7"
"""Which of both it is depends on what was struck."""


class Played(Struct, frozen=True):
    """How it went. `broken` is empty when every promise and expectation held."""

    record: str
    """What is written below the dashes."""
    story: str
    digest: str
    end_ms: int
    broken: str = ""
    rule: str = ""


def play(scenario: Scenario, keep_story: bool = False) -> Played:
    """From its first moment to its end, or to the first promise that does not hold."""
    world = World(scenario.seed, scenario.setting, keep_story)
    if any(e.want is Want.FENCES_FOR_NOTHING for e in scenario.expectations):
        world.watch.add(NobodyFenced(FENCED))
    witness = Witness(scenario)
    world.watch.add(witness)
    for strike in scenario.strikes:
        world.strike(strike)
    broken = rule = ""
    try:
        _until_the_end(world, scenario, witness)
    except Broken as error:
        broken, rule = str(error), error.rule
        world.kernel.tell("BROKEN", broken)
        witness.tell(world.kernel.now_ms, "BROKEN", broken)
    return Played(
        record="".join(f"{line}\n" for line in witness.lines),
        story=world.kernel.story.text(),
        digest=world.kernel.story.digest,
        end_ms=world.kernel.now_ms,
        broken=broken,
        rule=rule,
    )


def _until_the_end(world: World, scenario: Scenario, witness: Witness) -> None:
    kernel = world.kernel
    world.start()
    for moment_ms in _moments(scenario):
        if moment_ms < kernel.now_ms:
            continue  # It was told of what is due then while all became well.
        kernel.run_until(moment_ms)
        if moment_ms in scenario.heals_ms:
            witness.tell(kernel.now_ms, "fault", "all faults are healed")
            world.heal()
        witness.moment(moment_ms)
        if scenario.must_end_well and moment_ms == scenario.heals_ms[-1]:
            run_until_well(world)
            witness.tell(kernel.now_ms, "world", "all services are well")
    witness.end(kernel.now_ms)


def _moments(scenario: Scenario) -> list[int]:
    """Whenever something must be looked at or done, in order."""
    named = {scenario.end_ms, *scenario.heals_ms}
    for expectation in scenario.expectations:
        named.update(ms for ms in (expectation.from_ms, expectation.until_ms) if ms)
    return sorted(named)
