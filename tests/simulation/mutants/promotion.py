"""Rule 6 and 10: who must have stopped before another writes, what counts as proof, the veto."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from agents.core import grantor, orders, permission, reporting
from agents.core import step as agent_step
from agents.core.model import Durable, Replica
from controller.core import assignments, conditions, phases, view
from controller.core.model import Phase
from controller.core.phases import Row
from protocol.messages import Ask, Goal
from simulator.host import Host
from tests.simulation.mutants.base import (
    WRITERS,
    Mutant,
    Patch,
    allow_any_change,
    allow_any_step,
    always,
    ask_instead,
    drop_rows,
    set_rows,
)


def nobody_waits(patch: Patch) -> None:
    """A promotion does not wait until the leases ran out."""
    always(patch, conditions.fence_certain)


def backup_is_not_waited_for(patch: Patch) -> None:
    """A promotion waits for the controller's own promise, not for the backup's."""
    ask_instead(patch, conditions.promises_over, lambda v: v.own_promise_left_ms == 0)


def controller_is_not_waited_for(patch: Patch) -> None:
    """A promotion waits for the backup's promise, not for the controller's own."""

    def backup_only(v: view.View) -> bool:
        report = v.backup_now
        return report is not None and report.stopped and report.promise_left_ms == 0

    ask_instead(patch, conditions.promises_over, backup_only)


def stop_is_not_ordered(patch: Patch) -> None:
    """In a COUNTDOWN the backup goes on granting, and a pause in its promises is proof enough."""
    countdown = assignments.ORDERS[Phase.COUNTDOWN]._replace(backup_grants=True)
    patch.setitem(assignments.ORDERS, Phase.COUNTDOWN, countdown)

    def no_promise(v: view.View) -> bool:
        report = v.backup_now
        return report is not None and v.own_promise_left_ms == report.promise_left_ms == 0

    ask_instead(patch, conditions.promises_over, no_promise)


def stop_is_not_persisted(patch: Patch) -> None:
    """A backup that was told to stop forgets it with its life."""
    write = Host.write

    def forget(host: Host, uid: str, durable: Durable) -> None:
        order = durable.assignment
        if order is None or order.goal is not Goal.BACKUP or not order.countdown:
            write(host, uid, durable)

    patch.setattr(Host, "write", forget)
    allow_any_step(patch)


def stopped_backup_grants_again(patch: Patch) -> None:
    """A backup resumes its grants when it hears the primary, before the store was swapped back."""
    refusal = grantor._refusal

    def kind(replica: Replica, agent: str, ask: Ask) -> str:
        known = replica.durable.assignment
        if known and ask.proven and known.countdown:
            durable = replace(
                replica.durable, assignment=replace(known, may_grant=True), stopped_revision=0
            )
            replica = replace(replica, durable=durable)
        return refusal(replica, agent, ask)

    patch.setattr(grantor, "_refusal", kind)


def lower_revisions_are_taken(patch: Patch) -> None:
    """An agent takes every Order that comes, the late ones too."""
    patch.setattr(orders, "_is_stale", lambda known, order: order.revision == known.revision)
    allow_any_step(patch)


def stale_reports_count(patch: Patch) -> None:
    """What was reported under an earlier revision counts under the present one."""
    patch.setattr(view.View, "_counting", lambda _view, report: report)


def fence_is_promised_for_ever(patch: Patch) -> None:
    """The proof of a fence is not bound to the revision under which it was given."""
    patch.setattr(reporting, "_promised", lambda _replica, revision: revision > 0)


def fence_is_no_promise(patch: Patch) -> None:
    """Who proved that it is fenced takes the next lease under the same revision."""
    allowed = permission.allowed

    def again(replica: Replica) -> bool:
        return allowed(replace(replica, durable=replace(replica.durable, fenced_revision=0)))

    patch.setattr(permission, "allowed", again)
    patch.setattr("agents.core.holder.allowed", again)
    allow_any_step(patch)


def fence_is_promised_by_who_still_writes(patch: Patch) -> None:
    """A primary in a COUNTDOWN promises its fence when it is told to, not when it is done."""
    drive = agent_step._drive

    def early(replica: Replica, now_ms: int) -> Any:
        assignment = permission.reigning(replica)
        if assignment and assignment.countdown:
            durable = replace(replica.durable, fenced_revision=assignment.revision)
            replica = replace(replica, durable=durable)
        return drive(replica, now_ms)

    patch.setattr(agent_step, "_drive", early)
    permitted = permission.permit_now

    def still(replica: Replica, now_ms: int) -> Any:
        durable = replace(replica.durable, fenced_revision=0)
        return permitted(replace(replica, durable=durable), now_ms)

    patch.setattr(agent_step, "permit_now", still)
    allow_any_step(patch)


def way_back_after_the_swap(patch: Patch) -> None:
    """A promotion under way is taken back when the old primary is heard again."""

    def restore(v: view.View) -> dict[str, Any]:
        return {"primary": v.record.backup, "backup": v.record.primary}

    back = Row(
        "promotion_taken_back", Phase.PROMOTING, Phase.ALONE, (conditions.both_heard,),
        "{backup} is back: {primary} shall not be promoted", restore,
    )  # fmt: skip
    set_rows(patch, (back, *phases.TABLE))
    allow_any_change(patch)


def no_way_back_before_the_swap(patch: Patch) -> None:
    """A COUNTDOWN goes on though the primary is heard or the backup is lost."""
    drop_rows(
        patch, "primary_back", "backup_refuses", "backup_lost_in_countdown", "illness_in_countdown"
    )


def alone_is_counted_down(patch: Patch) -> None:
    """A primary that stands alone is counted down as one with a lease is."""
    row = Row(
        "alone_silent", Phase.ALONE, Phase.COUNTDOWN,
        (conditions.primary_silent, conditions.backup_stands),
        "{primary} has proved no commit for {silence}",
    )  # fmt: skip
    set_rows(patch, (row, *phases.TABLE))


def backup_vetoes_nothing(patch: Patch) -> None:
    """The backup stops granting though it hears the primary commit."""
    patch.setattr(orders, "_refuses", lambda _replica, _order, _now_ms: False)
    always(patch, conditions.backup_hears_nothing)


def controller_vetoes_nothing(patch: Patch) -> None:
    """The controller begins a COUNTDOWN though the primary proves its commits to it."""
    always(patch, conditions.primary_silent)
    drop_rows(patch, "primary_back")


MUTANTS = (
    Mutant(nobody_waits, "6", WRITERS),
    Mutant(backup_is_not_waited_for, "1, 6", WRITERS, "corner"),
    Mutant(controller_is_not_waited_for, "1, 6", WRITERS, "corner"),
    Mutant(stop_is_not_ordered, "6", WRITERS, "corner"),
    Mutant(stop_is_not_persisted, "6", WRITERS, "crashes"),
    Mutant(stopped_backup_grants_again, "6", WRITERS, "network"),
    Mutant(lower_revisions_are_taken, "0, 6", WRITERS, "network"),
    Mutant(stale_reports_count, "0, 6", (*WRITERS, "I2", "I3")),
    Mutant(fence_is_promised_for_ever, "6", (*WRITERS, "I3"), "operators"),
    Mutant(fence_is_no_promise, "6", WRITERS),
    Mutant(fence_is_promised_by_who_still_writes, "6", WRITERS),
    Mutant(way_back_after_the_swap, "6", (*WRITERS, "I2")),
    Mutant(no_way_back_before_the_swap, "6", ("I6", "I7", "I11")),
    Mutant(alone_is_counted_down, "8", (*WRITERS, "I3", "I4")),
    Mutant(backup_vetoes_nothing, "10", ("I6", "I7")),
    Mutant(controller_vetoes_nothing, "10", ("I6", "I7", "I11")),
)
