"""The rows of the table of phases by which people accept a loss, and by which that ends unused."""

from __future__ import annotations

from controller.core.conditions import approval as a
from controller.core.conditions import hold as h
from controller.core.conditions import pair as c
from controller.core.conditions.condition import held_for, not_held_for
from controller.core.model import HeldFor, Phase
from controller.core.rows.effects import approve, end_approval, note_approval
from controller.core.rows.row import Row

P = Phase

APPROVAL_ROWS: tuple[Row, ...] = (
    Row(
        "loss_approved", P.HELD, P.COUNTDOWN,
        (
            c.asked_approve, held_for(HeldFor.LOSS), a.approval_fits, a.enough_people,
            h.not_on_hold,
        ),
        "a loss of {loss} is accepted by {request}; the failover goes on",
        approve,
    ),
    Row(
        "loss_approved_by_one", P.HELD, P.HELD,
        (
            c.asked_approve, held_for(HeldFor.LOSS), a.approval_fits, a.first_of_two,
            h.not_on_hold,
        ),
        "a loss of {asked_loss} is accepted by {request}; the tier is {tier}: within "
        "{approval_lasts} somebody else must say the same",
        note_approval, aside=True,
    ),
    *(
        Row(
            "approval_ended", phase, phase, (not_held_for(HeldFor.FORCED), a.approval_ended),
            "the approval by {approved_by} ended unused, for {approval_over}",
            end_approval, aside=True,
        )
        for phase in (P.HELD, P.COUNTDOWN)
    ),
)  # fmt: skip
