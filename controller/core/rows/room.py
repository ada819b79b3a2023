"""The rows of the table of phases for a site that has no room: held until there is, or until an
operator lets the service come all the same.

The one row to PROMOTING asks, in HELD for capacity, what `fence_certain` asks in COUNTDOWN. All
others lead to where nobody is granted a lease, or from a drain back to PROTECTED.
"""

from __future__ import annotations

from controller.core.conditions import approval as a
from controller.core.conditions import hold as h
from controller.core.conditions import pair as c
from controller.core.conditions import room as r
from controller.core.conditions import stage as s
from controller.core.conditions import veto as v
from controller.core.conditions.condition import held_for
from controller.core.model import HeldFor, Phase
from controller.core.rows.effects import approve, hold_for_capacity, note_approval, promote, release
from controller.core.rows.row import GIVEN_UP, Row

P = Phase

ROOM_ROWS: tuple[Row, ...] = (
    Row(
        "room_missing", P.COUNTDOWN, P.HELD,
        (c.fence_certain, c.backup_stands, c.log_settled, c.loss_bearable, r.no_room),
        "held: {room}; once there is room, or with `saling approve {service} --epoch {epoch} "
        "--reason TEXT`, it goes on, if nothing else keeps {backup} from taking over",
        hold_for_capacity,
    ),
    Row(
        "room_found", P.HELD, P.PROMOTING,
        (
            held_for(HeldFor.CAPACITY), c.fence_certain, c.backup_stands, c.log_settled,
            c.loss_bearable, c.not_paused, h.not_on_hold, v.backup_willing,
            s.backup_in_use, r.in_turn, r.has_room,
        ),
        "there is room at {backup_site} now, and nobody can be writing in epoch {epoch}: {backup} "
        "becomes primary",
        promote,
    ),
    Row(
        "over_capacity_approved", P.HELD, P.COUNTDOWN,
        (
            c.asked_approve, held_for(HeldFor.CAPACITY), r.approval_covers, a.enough_people,
            h.not_on_hold,
        ),
        "{request} lets {service} come to {backup_site} over its capacity ({room}); the failover "
        "goes on",
        approve,
    ),
    Row(
        "over_capacity_approved_by_one", P.HELD, P.HELD,
        (
            c.asked_approve, held_for(HeldFor.CAPACITY), r.approval_covers, a.first_of_two,
            h.not_on_hold,
        ),
        "{request} lets {service} come to {backup_site} over its capacity; the tier is {tier}: "
        "within {approval_lasts} somebody else must say the same",
        note_approval, aside=True,
    ),
    Row(
        "room_lost_in_drain", P.DRAINING, P.PROTECTED, (r.no_room, c.primary_heard),
        "the drain of {primary} is called off: {room}; {primary} shall serve on",
        release, GIVEN_UP,
    ),
)  # fmt: skip
