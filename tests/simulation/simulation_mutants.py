"""Rules dropped or misread on purpose: each must be caught, or the checkers prove nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest

from agents.core import engine, grantor, holder, permission, reporting, rest_of_log
from agents.core import step as agent_step
from agents.core.model import Lease, Replica
from controller.core import assignments, conditions, leases, loss, phases, view
from controller.core import step as controller_step
from controller.core.conditions import Condition
from controller.core.model import Phase
from protocol.messages import Assignment, Mode, Right
from simulator.guard import Guard

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Mutant:
    """One misreading, where it shows, and how soon at the latest."""

    name: str
    apply: Callable[[Patch], None]
    caught_as: tuple[str, ...]
    profile: str = "everything"
    seeds_at_most: int = 60


def _always(patch: Patch, condition: Condition) -> None:
    """Let a condition hold at once, in the table and wherever other conditions ask for it."""
    rows = tuple(
        replace(row, when=tuple(_true(c) if c.name == condition.name else c for c in row.when))
        for row in phases.TABLE
    )
    _take_rows(patch, rows)
    patch.setattr(conditions, condition.name, _true(condition))


def _take_rows(patch: Patch, rows: tuple[phases.Row, ...]) -> None:
    """Put another table of phases in the place of the shipped one."""
    rows_from = {phase: tuple(row for row in rows if row.source is phase) for phase in Phase}
    patch.setattr(phases, "TABLE", rows)
    patch.setattr(phases, "ROWS_FROM", rows_from)


def _true(condition: Condition) -> Condition:
    return replace(condition, test=lambda _view: True)


def log_is_taken_before_the_fence(patch: Patch) -> None:
    """A backup takes the log of a primary that may still write, and believes that it is whole."""
    patch.setattr(rest_of_log, "refusal", lambda _replica, _agent, _revision: "")
    patch.setattr(assignments, "_log_is_wanted", lambda _service: True)


def no_leader_amnesia(patch: Patch) -> None:
    """A new life of the controller forgets that it may have granted a moment ago."""
    begin = controller_step._begin_service

    def forgetful(spec: Any, record: Any, now_ms: int) -> Any:
        return msgspec.structs.replace(begin(spec, record, now_ms), promise_end_ms=now_ms)

    patch.setattr(controller_step, "_begin_service", forgetful)


def grantors_count_short(patch: Patch) -> None:
    """Grantors count a lease shorter than its holder does."""
    patch.setattr(grantor, "grantor_window_ms", lambda ttl_ms: ttl_ms // 2)
    patch.setattr(leases, "grantor_window_ms", lambda ttl_ms: ttl_ms // 2)


def holder_counts_long(patch: Patch) -> None:
    """The holder counts its lease longer than it was granted."""
    patch.setattr(holder, "holder_window_ms", lambda ttl_ms: ttl_ms * 3 // 2)


def holder_counts_from_receipt(patch: Patch) -> None:
    """The lease begins when the grant comes, not when it was asked for."""
    take = holder._count

    def late(replica: Replica, lease: Lease) -> Replica:
        return take(replica, Lease(lease.grantor, lease.end_ms + 150))

    patch.setattr(holder, "_count", late)


def nobody_waits(patch: Patch) -> None:
    """A promotion does not wait until the leases ran out."""
    _always(patch, conditions.fence_certain)


def backup_is_not_waited_for(patch: Patch) -> None:
    """A promotion waits for the controller's own promise, not for the backup's."""

    def own_only(v: view.View) -> bool:
        fenced = v.primary_now is not None and v.primary_now.fenced
        return fenced or v.own_promise_left_ms == 0

    mutant = replace(conditions.fence_certain, test=own_only)
    rows = tuple(
        replace(row, when=tuple(mutant if c.name == mutant.name else c for c in row.when))
        for row in phases.TABLE
    )
    _take_rows(patch, rows)


def no_fence_budget(patch: Patch) -> None:
    """The fence begins when the lease ends."""
    allowed = permission.permit_now

    def late(replica: Replica, now_ms: int) -> Any:
        permit, end_ms = allowed(replica, now_ms)
        assignment = permission.reigning(replica)
        budget_ms = assignment.terms.fence_budget_ms if assignment and end_ms else 0
        return permit, end_ms + budget_ms

    patch.setattr(agent_step, "permit_now", late)


def guard_keeps_no_deadline(patch: Patch) -> None:
    """The fence hangs on the agent alone, which may be paused or dead."""
    patch.setattr(Guard, "_keep_deadline", lambda _guard: None)


def any_grant_arms(patch: Patch) -> None:
    """ARMING ends with anybody's grant, before the backup is known to have the last writes."""

    def hasty(_replica: Replica, assignment: Assignment, _grantor: str, _granted: Any) -> bool:
        return assignment.right is Right.ARMING

    patch.setattr(holder, "_arms", hasty)


def armed_without_acknowledgement(patch: Patch) -> None:
    """The pair counts as armed though the primary may still be writing without a lease."""
    _always(patch, conditions.primary_acknowledged_lease)


def fence_promised_for_ever(patch: Patch) -> None:
    """The proof of a fence is not bound to the revision under which it was given."""
    patch.setattr(reporting, "_promised", lambda _replica, revision: revision > 0)


def mode_told_before_the_guard_keeps_it(patch: Patch) -> None:
    """A new life acknowledges what its disk says, while the guard still allows more."""
    patch.setattr(reporting, "_mode", lambda replica: replica.durable.mode)


def protected_straight_from_maintenance(patch: Patch) -> None:
    """A maintenance that ends makes the pair PROTECTED, without asking the primary."""
    ends = ("maintenance_ended", "maintenance_over", "maintenance_ran_out")
    rows = tuple(
        replace(row, target=Phase.PROTECTED) if row.name in ends else row for row in phases.TABLE
    )
    _take_rows(patch, rows)
    patch.setattr(controller_step, "check_change", lambda _old, _new: None)


def any_loss_is_bearable(patch: Patch) -> None:
    """The bound on lost data is not asked for."""
    _always(patch, conditions.loss_bearable)
    patch.setattr(loss, "estimate_bytes", lambda *_: 0)


def sync_is_not_waited_for(patch: Patch) -> None:
    """The backup is eligible again before commits wait for it."""
    arms = holder._arms

    def eager(replica: Replica, assignment: Any, name: str, granted: Any) -> bool:
        return arms(replica, msgspec.structs.replace(assignment, sync=False), name, granted)

    patch.setattr(holder, "_arms", eager)
    patch.setattr(engine, "_sync_with", lambda _assignment: "")


def released_without_the_log(patch: Patch) -> None:
    """A drained primary lets go though its backup lacks the end of the log."""
    settle = engine.settle_drain

    def eager(replica: Replica, now_ms: int) -> Replica:
        if replica.drained_bytes:
            replica = msgspec.structs.replace(replica, partner_received_bytes=2**60)
        return settle(replica, now_ms)

    patch.setattr(engine, "settle_drain", eager)
    rows = tuple(
        replace(row, when=tuple(_RELEASED if c.name == _RELEASED.name else c for c in row.when))
        for row in phases.TABLE
    )
    _take_rows(patch, rows)


_RELEASED = replace(
    conditions.primary_released,
    test=lambda v: v.primary_now is not None and v.primary_now.released,
)


def standby_forgets_that_it_diverged(patch: Patch) -> None:
    """An old primary comes back as a backup without a rewind, and nobody asks its upstream."""
    take = engine.next_job

    def careless(replica: Replica, now_ms: int) -> Any:
        if replica.durable.mode is Mode.NONE:
            durable = msgspec.structs.replace(replica.durable, diverged=False)
            seen = msgspec.structs.replace(replica.observation, stranded="")
            replica = msgspec.structs.replace(replica, durable=durable, observation=seen)
        return take(replica, now_ms)

    patch.setattr(engine, "next_job", careless)


WRITERS = ("I1", "I5")

MUTANTS = (
    Mutant("no_leader_amnesia", no_leader_amnesia, WRITERS, "corner"),
    Mutant("grantors_count_short", grantors_count_short, WRITERS),
    Mutant("holder_counts_long", holder_counts_long, WRITERS),
    Mutant("holder_counts_from_receipt", holder_counts_from_receipt, WRITERS),
    Mutant("nobody_waits", nobody_waits, WRITERS),
    Mutant("backup_is_not_waited_for", backup_is_not_waited_for, WRITERS, "corner"),
    Mutant("no_fence_budget", no_fence_budget, WRITERS),
    Mutant("guard_keeps_no_deadline", guard_keeps_no_deadline, WRITERS),
    Mutant("any_grant_arms", any_grant_arms, ("I3",), "network"),
    Mutant("armed_without_acknowledgement", armed_without_acknowledgement, (*WRITERS, "I3")),
    Mutant("fence_promised_for_ever", fence_promised_for_ever, (*WRITERS, "I3"), "operators", 100),
    Mutant(
        "protected_from_maintenance",
        protected_straight_from_maintenance,
        (*WRITERS, "I3"),
        "maintenance",
    ),
    Mutant("mode_told_early", mode_told_before_the_guard_keeps_it, WRITERS, "crashes"),
    Mutant("any_loss_is_bearable", any_loss_is_bearable, ("I4",), "corner"),
    Mutant("log_is_taken_before_the_fence", log_is_taken_before_the_fence, ("I4",), "operators"),
    Mutant("sync_is_not_waited_for", sync_is_not_waited_for, ("I3",)),
    Mutant("released_without_the_log", released_without_the_log, ("I3",), "operators", 90),
    Mutant("standby_forgets_that_it_diverged", standby_forgets_that_it_diverged, ("I11",)),
)
