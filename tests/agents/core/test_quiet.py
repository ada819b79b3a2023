"""A Tick that is skipped would have found nothing to do, whatever the replica and the moment."""

from __future__ import annotations

from msgspec.structs import replace

from agents.core.events import Observed, Tick
from agents.core.invariants import InvariantBroken
from agents.core.model import Replica
from agents.core.quiet import FOREVER_MS
from agents.core.step import step
from protocol.messages import Role
from tests.agents.core.chance import NOW, Chance
from tests.agents.core.given import DATA, TERMS, Actor

REPLICAS = 12_000
STEPS_UNTIL_QUIET = 3


def test_no_tick_before_the_next_moment_finds_anything_to_do() -> None:
    chance, skipped = Chance(), 0
    for _ in range(REPLICAS):
        quiet = _quiet(chance.replica())
        if quiet is None:
            continue
        last_ms = min(quiet.quiet_until_ms, NOW + 10_000) - 1
        for at_ms in (NOW, (NOW + last_ms) // 2, last_ms):
            skipped += 1
            after, actions = step(replace(quiet, quiet_until_ms=0), Tick(), at_ms)
            assert actions == []
            assert replace(after, quiet_until_ms=quiet.quiet_until_ms) == quiet
    assert skipped > REPLICAS


def test_a_replica_with_nothing_to_do_is_quiet_until_its_next_moment() -> None:
    actor = Actor().leased()
    actor.tick(1)
    quiet_ms = actor.replica.quiet_until_ms
    assert actor.now_ms < quiet_ms <= actor.replica.probe_begun_ms + TERMS.renew_ms
    assert step(actor.replica, Tick(), quiet_ms - 1) == (actor.replica, [])


def test_what_happens_ends_the_quiet_at_once() -> None:
    actor = Actor().leased()
    quiet = replace(actor.replica, quiet_until_ms=FOREVER_MS)
    gone = replace(DATA, role=Role.DOWN)
    after, actions = step(quiet, Observed(gone), actor.now_ms)
    assert actions
    assert after.quiet_until_ms == 0


def _quiet(replica: Replica) -> Replica | None:
    """The replica once nothing is left to do; None where that never comes or may never be."""
    for _ in range(STEPS_UNTIL_QUIET):
        try:
            replica, _ = step(replica, Tick(), NOW)
        except InvariantBroken:
            return None
    return replica if replica.quiet_until_ms > NOW else None
