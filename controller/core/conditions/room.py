"""What the table of phases asks about the other services: whose turn it is, and who fits."""

from __future__ import annotations

from controller.core.conditions.condition import Condition
from controller.core.events import Kind
from controller.core.gates import approvals, room, turns
from controller.core.model import HeldFor
from controller.core.moment.view import View


def _may_move(view: View) -> bool:
    asked = view.request
    dares = asked is not None and asked.kind is Kind.SWITCHOVER and asked.over_capacity
    return dares or room.fits(view)


def _approval_covers(view: View) -> bool:
    request = view.request
    if request is None or request.epoch != view.record.epoch:
        return False
    named = approvals.covers(view, request.loss_bytes, request.loss_ms)
    return named or approvals.within_bound(view)


in_turn = Condition(
    "in_turn",
    lambda v: not turns.ahead(v),
    "nobody of its group goes before it",
    "{ahead} of the group {group} goes first, and is on its way to {backup_site}",
)
has_room = Condition(
    "has_room",
    room.fits,
    "it may come to {backup_site}: {room}",
    "{room}",
)
no_room = Condition("no_room", lambda v: not room.fits(v), has_room.no, has_room.yes)
room_to_move = Condition(
    "room_to_move",
    _may_move,
    has_room.yes,
    "{room}; `--over-capacity` moves it all the same, and is noted",
)
approval_covers = Condition(
    "approval_covers",
    _approval_covers,
    "the approval names epoch {epoch}, and the loss where it is beyond the bound",
    "an approval must name epoch {epoch}, and where the loss is beyond the bound of {bound} at "
    "least {approval_figures}",
)
held_in_countdown = Condition(
    "held_in_countdown",
    lambda v: v.record.held_for in (HeldFor.LOSS, HeldFor.CAPACITY),
    "it is held for a loss or for capacity",
    "it is held neither for a loss nor for capacity",
)
