"""Rule 8, a failover by force: two people, and a host that is off, looked at after the command."""

from __future__ import annotations

from controller.core.conditions import force as force_conditions
from controller.core.conditions import pair as conditions
from simulator.faults import operators
from simulator.strike import Strike
from simulator.world import World
from tests.simulation.mutants.base import WRITERS, Mutant, Patch, always, drop_rows
from tests.simulation.night import Night


def force_needs_no_proof(patch: Patch) -> None:
    """Whoever wants a service moved by force need not know that the old host is off."""
    always(patch, force_conditions.proof_stated)


def proof_may_be_older_than_the_command(patch: Patch) -> None:
    """The host was seen off some time before, and nobody looks again after the command."""

    def was_off(world: World, site: str) -> bool:
        return any(s.verb == "crash-host" and s.on[0] == site for s in world.struck)

    patch.setattr(operators, "is_off", was_off)


def force_takes_one_person(patch: Patch) -> None:
    """Whoever asks for the force states the proof as well."""
    always(patch, force_conditions.another_person)


def forced_backup_is_not_waited_for(patch: Patch) -> None:
    """The backup is promoted by force while a lease that it gave runs on."""
    always(patch, conditions.promises_over)
    always(patch, conditions.backup_stands)
    always(patch, conditions.backup_hears_nothing)


def heard_primary_does_not_end_a_force(patch: Patch) -> None:
    """A primary that is back stays fenced under a hold that nobody needs any more."""
    drop_rows(patch, "primary_heard_in_force", "backup_hears_in_force")


_ALONE = (
    Strike(7_000, "maintenance-begin", ("s1",), 100_000),
    Strike(10_000, "isolate", ("alpha",), 60_000),
    Strike(13_500, "force", ("s1",)),
)
"""A primary that stands alone, for its backup is in maintenance, is unheard, and writes."""

LIVES = Night(*_ALONE, Strike(15_000, "force-proof", ("s1",)))
WAS_OFF = Night(Strike(5_500, "crash-host", ("alpha",), 500), *_ALONE,
                Strike(15_000, "force-proof", ("s1",)))  # fmt: skip
OFF = (
    Strike(7_000, "maintenance-begin", ("s1",), 100_000),
    Strike(10_000, "crash-host", ("alpha",), 60_000),
    Strike(13_500, "force", ("s1",)),
)
ONE_PERSON = Night(*OFF, Strike(15_000, "force-proof-alone", ("s1",)))
STILL_LEASED = Night(
    Strike(7_000, "maintenance-begin", ("s1",), 100_000),
    Strike(10_000, "cut", ("alpha", "hub"), 60_000),
    Strike(13_900, "crash-host", ("alpha",), 60_000),
    Strike(17_500, "force", ("s1",)),
    Strike(17_600, "force-proof", ("s1",)),
    lease="standard",
)
"""The controller has not heard the primary for a lease; its backup has, until lately."""
BACK = Night(
    Strike(7_000, "maintenance-begin", ("s1",), 100_000),
    Strike(10_000, "crash-host", ("alpha",), 6_000),
    Strike(13_500, "force", ("s1",)),
)

MUTANTS = (
    Mutant(force_needs_no_proof, "8", WRITERS, seconds=20, night=LIVES),
    Mutant(proof_may_be_older_than_the_command, "8", WRITERS, seconds=20, night=WAS_OFF),
    Mutant(force_takes_one_person, "8", ("forced",), seconds=20, night=ONE_PERSON),
    Mutant(forced_backup_is_not_waited_for, "8", ("forced",), seconds=20, night=STILL_LEASED),
    Mutant(heard_primary_does_not_end_a_force, "8", ("I11",), seconds=20, night=BACK),
)
