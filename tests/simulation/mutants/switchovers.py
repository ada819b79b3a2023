"""Rule 13: a planned move loses nothing, and is either released or resumed."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from agents.core import engine, holder, permission
from agents.core import step as agent_step
from agents.core.model import Replica
from controller.core.conditions import pair as conditions
from controller.core.moment.view import View
from protocol.messages import Assignment, Goal
from simulator.parts.guard import Guard
from simulator.parts.jobs import Jobs
from simulator.strike import Strike
from tests.simulation.mutants.base import (
    WRITERS,
    Mutant,
    Patch,
    allow_any_step,
    always,
    ask_instead,
)
from tests.simulation.night import Night


def _says_released(view: View) -> bool:
    return view.primary_now is not None and view.primary_now.released


def released_without_the_log(patch: Patch) -> None:
    """A drained primary lets go though its backup lacks the end of the log."""
    settle = engine.settle_drain

    def eager(replica: Replica, now_ms: int) -> Replica:
        if replica.drained_bytes:
            replica = replace(replica, partner_received_bytes=2**60)
        return settle(replica, now_ms)

    patch.setattr(engine, "settle_drain", eager)
    ask_instead(patch, conditions.primary_released, _says_released)


def silence_counts_from_before_the_drain(patch: Patch) -> None:
    """A primary whose drain was given up is taken for silent before it could start again."""
    always(patch, conditions.primary_had_time)


def drain_of_another_life_is_waited_for(patch: Patch) -> None:
    """An agent whose engine an earlier life stopped neither releases nor resumes."""
    patch.setattr(engine, "_stands_still", lambda _replica: False)


def released_without_a_stop(patch: Patch) -> None:
    """A primary that is moved gives its lease back while its engine still takes writes."""

    def running(jobs: Jobs, _guard: Guard, done: Callable[[str, int], None]) -> None:
        copy = jobs._engine
        jobs._kernel.after(300, lambda: done("", copy.position))

    patch.setattr(Jobs, "_drain", running)
    close = Guard.close
    patch.setattr(
        Guard, "close", lambda guard, done: done() if guard.may_write else close(guard, done)
    )


def resumed_after_the_release(patch: Patch) -> None:
    """A primary that gave its lease back serves on when the move takes too long."""
    settle, allowed = engine.settle_drain, permission.allowed

    def both(replica: Replica, now_ms: int) -> Replica:
        durable, order = replica.durable, replica.durable.assignment
        if order is None or order.goal is not Goal.DRAIN or not durable.released_revision:
            return settle(replica, now_ms)
        if now_ms - replica.drain_begun_ms <= order.terms.drain_budget_ms:
            return replica
        return replace(replica, durable=replace(durable, resumed_revision=order.revision))

    def again(replica: Replica) -> bool:
        durable = replica.durable
        if durable.resumed_revision:
            durable = replace(durable, released_revision=0)
        return allowed(replace(replica, durable=durable))

    patch.setattr(engine, "settle_drain", both)
    _allow(patch, again)


def released_lease_is_taken_again(patch: Patch) -> None:
    """A primary that gave its lease back takes the next one that it can get."""
    allowed, wish = permission.allowed, engine._drain_wish
    wants, waits = holder._wants_first_lease, holder._waits_for_partner

    def again(replica: Replica) -> bool:
        return allowed(replace(replica, durable=replace(replica.durable, released_revision=0)))

    def primary(replica: Replica, assignment: Assignment, now_ms: int) -> engine.Wish | None:
        if replica.durable.released_revision == assignment.revision:
            return engine._primary_wish(replica, assignment, now_ms)
        return wish(replica, assignment, now_ms)

    def first(replica: Replica, assignment: Assignment, now_ms: int) -> bool:
        return wants(replica, replace(assignment, goal=Goal.PRIMARY), now_ms)

    patch.setitem(engine._WISHES, Goal.DRAIN, primary)

    def still(replica: Replica, assignment: Assignment) -> bool:
        released = replica.durable.released_revision == assignment.revision
        return waits(replica, assignment) and not released

    patch.setattr(holder, "_wants_first_lease", first)
    patch.setattr(holder, "_waits_for_partner", still)
    _allow(patch, again)


def _allow(patch: Patch, allowed: Callable[[Replica], bool]) -> None:
    """And need no fresh Order, which would have kept it from writing as well."""
    close = agent_step._close
    patch.setattr(
        agent_step, "_close", lambda known, now_ms: replace(close(known, now_ms), fresh=known.fresh)
    )
    patch.setattr(permission, "allowed", allowed)
    patch.setattr(holder, "allowed", allowed)
    allow_any_step(patch)


NOBODY_IS_TOLD = Night(
    Strike(9_000, "switchover", ("s1",)),
    Strike(9_080, "cut-one-way", ("hub", "alpha"), 20_000),
    Strike(9_080, "cut-one-way", ("hub", "bravo"), 4_500),
)
"""A primary is drained and lets go, but neither copy hears for a while who takes over."""

GIVEN_UP = Night(
    Strike(9_000, "cut", ("alpha", "bravo"), 20_000),
    Strike(9_020, "switchover", ("s1",)),
)
"""A planned move is asked for when the link has just broken."""

STOPPED_BEFORE = Night(
    Strike(9_000, "switchover", ("s1",)),
    Strike(9_020, "cut", ("alpha", "bravo"), 1500),
    Strike(9_900, "kill-agent", ("alpha",), 50),
    lease="standard",
)
"""An agent dies in a drain, once its engine has stopped."""

MUTANTS = (
    Mutant(silence_counts_from_before_the_drain, "13", ("I3",), night=GIVEN_UP),
    Mutant(drain_of_another_life_is_waited_for, "13", ("I8",), seconds=25, night=STOPPED_BEFORE),
    Mutant(released_without_the_log, "13", ("I3",), "operators"),
    Mutant(released_without_a_stop, "13", (*WRITERS, "I3"), "operators"),
    Mutant(resumed_after_the_release, "13", WRITERS, seconds=25, night=NOBODY_IS_TOLD),
    Mutant(released_lease_is_taken_again, "13", WRITERS, seconds=25, night=NOBODY_IS_TOLD),
)
