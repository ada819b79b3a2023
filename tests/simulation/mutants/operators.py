"""What operators say: approvals name an epoch and a loss, and a pause is kept."""

from __future__ import annotations

from controller.core import conditions
from controller.core.events import Kind
from controller.core.view import View
from simulator.strike import Strike
from tests.simulation.mutants.base import Mutant, Patch, always, ask_instead
from tests.simulation.night import Night


def approval_needs_no_epoch(patch: Patch) -> None:
    """An approval counts in whatever epoch it arrives."""

    def of_any(view: View) -> bool:
        request, loss = view.request, view.loss_bytes
        if request is None or request.kind is not Kind.APPROVE:
            return False
        return loss is None or request.loss_bytes >= loss

    ask_instead(patch, conditions.approval_fits, of_any)
    patch.setattr(View, "approved", property(lambda view: view.record.approval is not None))


def approval_covers_any_loss(patch: Patch) -> None:
    """An approval counts though it names less than what would be lost."""
    always(patch, conditions.approval_fits)
    patch.setattr(
        View,
        "accepted_loss_bytes",
        property(lambda view: 2**60 if view.record.approval else view.spec.loss_bound_bytes),
    )


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

MUTANTS = (
    Mutant(approval_needs_no_epoch, "11", ("I4",), seconds=25, night=STALE_APPROVAL),
    Mutant(approval_covers_any_loss, "11", ("I4",), seconds=25, night=SMALL_APPROVAL),
    Mutant(pause_is_ignored, "operators", ("pause",), "operators"),
)
