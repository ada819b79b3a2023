"""What operators say: approvals name an epoch and a loss, and a pause is kept."""

from __future__ import annotations

from dataclasses import replace as with_other
from typing import Any

from msgspec.structs import replace

from controller.core.conditions import approval as approval_conditions
from controller.core.conditions import pair as conditions
from controller.core.gates import approvals
from controller.core.model import LastWord, ServiceState
from controller.core.moment import loss
from controller.core.moment.view import View
from controller.core.rows.row import Row
from simulator.strike import Strike
from tests.simulation.mutants.base import Mutant, Patch, always, ask_instead, change_rows
from tests.simulation.night import Night


def approval_needs_no_epoch(patch: Patch) -> None:
    """An approval counts in whatever epoch it arrives."""

    def of_any(view: View) -> bool:
        request = view.request
        return request is not None and approvals.covers(view, request.loss_bytes, request.loss_ms)

    ask_instead(patch, approval_conditions.approval_fits, of_any)
    patch.setattr(View, "approved", property(lambda view: view.record.approval is not None))


def approval_covers_any_loss(patch: Patch) -> None:
    """An approval counts though it names less than what would be lost."""
    always(patch, approval_conditions.approval_fits)
    patch.setattr(
        View,
        "accepted_loss_bytes",
        property(lambda view: 2**60 if view.record.approval else view.spec.loss_bound_bytes),
    )


def accepted_time_leaves_out_the_backlog(patch: Patch) -> None:
    """The time that is lost is counted from the primary's last word, not from the backup's."""
    word = loss.last_word

    def near(service: ServiceState, now_ms: int) -> LastWord | None:
        known = word(service, now_ms)
        return replace(known, behind_ms=0) if known else None

    patch.setattr(loss, "last_word", near)


def same_person_counts_twice(patch: Patch) -> None:
    """Whoever accepts a loss once more is taken for the second person."""
    ask_instead(
        patch,
        approval_conditions.enough_people,
        lambda view: not view.two_people or approvals.first_person(view) is not None,
    )


def one_person_is_enough(patch: Patch) -> None:
    """The tier of a service does not matter to who may accept its loss."""
    patch.setattr(View, "two_people", False)


def approval_is_used_twice(patch: Patch) -> None:
    """An approval is kept after the promotion that it was for, and counts for the next."""

    def keeping(row: Row) -> Row:
        def effect(view: View) -> dict[str, Any]:
            changes = row.effect(view)
            approval = changes.get("approval") or view.record.approval
            return {**changes, "approval": approval}

        return with_other(row, effect=effect)

    change_rows(patch, keeping)
    patch.setattr(View, "approved", property(lambda view: view.record.approval is not None))


def pause_is_ignored(patch: Patch) -> None:
    """Automatic failover goes on while it is paused."""
    always(patch, conditions.not_paused)


_LOSS = (
    Strike(8_000, "cut", ("alpha", "bravo"), 20_000),
    Strike(13_000, "isolate", ("alpha",), 20_000),
)
"""A primary writes on for seconds without its backup before it is lost: the service is HELD."""

STALE_APPROVAL = Night(
    *_LOSS, Strike(16_000, "approve", ("s1", "0", "1000000000")), loss_bound_bytes=20_000
)
SMALL_APPROVAL = Night(*_LOSS, Strike(16_000, "approve", ("s1", "1", "1")), loss_bound_bytes=20_000)

BACKLOG = Night(*_LOSS, Strike(16_000, "approve", ("s1",)), loss_bound_bytes=20_000)
SAME_PERSON = Night(
    *_LOSS,
    Strike(16_000, "approve", ("s1",)),
    Strike(17_000, "approve", ("s1",)),
    loss_bound_bytes=20_000,
    tier="strategis",
)
SECOND_LOSS = Night(
    Strike(8_000, "cut", ("alpha", "bravo"), 7_000),
    Strike(13_000, "isolate", ("alpha",), 12_000),
    Strike(16_000, "approve", ("s1", "1", "1000000000")),
    Strike(34_000, "cut", ("alpha", "bravo"), 20_000),
    Strike(38_000, "isolate", ("bravo",), 20_000),
    loss_bound_bytes=20_000,
)
"""The loss is accepted, the old primary is back, and then its partner is lost with a loss, too."""

MUTANTS = (
    Mutant(accepted_time_leaves_out_the_backlog, "11", ("I4",), seconds=25, night=BACKLOG),
    Mutant(same_person_counts_twice, "11", ("approval",), seconds=25, night=SAME_PERSON),
    Mutant(one_person_is_enough, "11", ("approval",), seconds=25, night=SAME_PERSON),
    Mutant(approval_is_used_twice, "11", ("approval", "I4"), seconds=60, night=SECOND_LOSS),
    Mutant(approval_needs_no_epoch, "11", ("I4",), seconds=25, night=STALE_APPROVAL),
    Mutant(approval_covers_any_loss, "11", ("I4",), seconds=25, night=SMALL_APPROVAL),
    Mutant(pause_is_ignored, "operators", ("pause",), "operators"),
)
