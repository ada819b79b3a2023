"""Rule 13: a planned move loses nothing, and is either released or resumed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from agents.core import engine, permission
from agents.core.model import Durable, Replica
from controller.core import conditions
from controller.core.view import View
from protocol.messages import Goal
from simulator.guard import Guard
from simulator.host import Host
from simulator.jobs import Jobs
from tests.simulation.mutants.base import WRITERS, Mutant, Patch, allow_any_step, ask_instead


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
    settle = engine.settle_drain

    def both(replica: Replica, now_ms: int) -> Replica:
        durable, order = replica.durable, replica.durable.assignment
        if (
            order is not None
            and order.goal is Goal.DRAIN
            and durable.released_revision == order.revision
            and now_ms - replica.drain_begun_ms > order.terms.drain_budget_ms
        ):
            durable = replace(durable, released_revision=0, resumed_revision=order.revision)
            return replace(replica, durable=durable)
        return settle(replica, now_ms)

    patch.setattr(engine, "settle_drain", both)


def released_lease_is_taken_again(patch: Patch) -> None:
    """A primary that gave its lease back counts the next grant."""
    allowed = permission.allowed

    def again(replica: Replica) -> bool:
        return allowed(replace(replica, durable=replace(replica.durable, released_revision=0)))

    patch.setattr(permission, "allowed", again)
    patch.setattr("agents.core.holder.allowed", again)
    patch.setattr("agents.core.holder.may_write", permission.may_write)
    wish = engine._drain_wish

    def primary(replica: Replica, assignment: Any, now_ms: int) -> Any:
        if replica.durable.released_revision == assignment.revision:
            return engine._primary_wish(replica, assignment, now_ms)
        return wish(replica, assignment, now_ms)

    patch.setitem(engine._WISHES, Goal.DRAIN, primary)
    wants = "agents.core.holder._wants_first_lease"
    patch.setattr(
        wants,
        lambda replica, assignment, now_ms: (
            not permission.may_write(replica, now_ms) and again(replica)
        ),
    )
    allow_any_step(patch)


def release_is_not_persisted(patch: Patch) -> None:
    """A primary that gave its lease back forgets it with its life."""
    write = Host.write

    def forget(host: Host, uid: str, durable: Durable) -> None:
        write(host, uid, replace(durable, released_revision=0))

    patch.setattr(Host, "write", forget)


MUTANTS = (
    Mutant(released_without_the_log, "13", ("I3",), "operators"),
    Mutant(released_without_a_stop, "13", (*WRITERS, "I3"), "operators"),
    Mutant(resumed_after_the_release, "13", (*WRITERS, "I3"), "operators"),
    Mutant(released_lease_is_taken_again, "13", (*WRITERS, "I3"), "operators"),
    Mutant(release_is_not_persisted, "13", (*WRITERS, "I3"), "operators"),
)
