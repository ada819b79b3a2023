"""The rows of the table of phases that place an integrity hold, count its time and end it.

They are read after all others and move nothing but a drain, which is called off: leases go on
as before, and what keeps the service where it is are the conditions `not_on_hold` of the rows
that lead to a COUNTDOWN, to a drain and to PROMOTING.
"""

from __future__ import annotations

from controller.core.conditions import hold as h
from controller.core.conditions.condition import Condition
from controller.core.model import Phase
from controller.core.rows.effects import (
    Effect,
    count_hold,
    end_hold,
    lift_hold,
    place_hold,
    place_hold_on_drain,
)
from controller.core.rows.row import GIVEN_UP, Row

P = Phase
PLACED = (
    "an integrity hold of {hold_asked_for} on {hold_asked_on} was placed by "
    "{request}{hold_before}; "
)
NOT_MOVED = PLACED + "{service} is not moved, by itself or by anybody, until it ends"
PLACED_IN = {
    P.DRAINING: PLACED + "the move is called off, {primary} serves on",
    P.COUNTDOWN: PLACED + "{backup} does not take over until it ends, though {primary} is silent",
    P.PROMOTING: PLACED + "{primary} becomes primary all the same, for there is no way back",
    P.ROUTING: PLACED + "{primary} is primary already, and stays so until it ends",
}
RELEASED = "the integrity hold ({hold_by}) was released by {request}"
OVER = "the {hold_for} of the integrity hold ({hold_by}) are over: it ended by itself"
GOES_ON = "; the failover to {backup} goes on"
WAITING = (P.PROTECTED, P.ALONE, P.COUNTDOWN, P.HELD)
"""The phases that may last: in the others the time goes on, and is looked at afterwards."""


def _place(phase: Phase) -> Row:
    sentence = PLACED_IN.get(phase, NOT_MOVED)
    if phase is P.DRAINING:
        return Row(
            "integrity_hold", phase, P.PROTECTED, (h.asked_hold,), sentence,
            place_hold_on_drain, GIVEN_UP,
        )  # fmt: skip
    return _here("integrity_hold", phase, (h.asked_hold,), sentence, place_hold)


def _here(
    name: str, phase: Phase, when: tuple[Condition, ...], sentence: str, effect: Effect
) -> Row:
    """A countdown's record says what it waits for; all others keep the sentence that they have."""
    return Row(name, phase, phase, when, sentence, effect, aside=phase is not P.COUNTDOWN)


def _end(sentence: str, phase: Phase) -> str:
    return sentence + GOES_ON if phase is P.COUNTDOWN else sentence


HOLD_ROWS: tuple[Row, ...] = (
    *(_place(phase) for phase in Phase),
    *(
        _here(
            "hold_released", phase, (h.asked_release, h.on_hold), _end(RELEASED, phase), lift_hold
        )
        for phase in Phase if phase is not P.DRAINING
    ),
    *(
        _here("hold_over", phase, (h.on_hold, h.time_is_over), _end(OVER, phase), end_hold)
        for phase in WAITING
    ),
    *(
        Row(
            "hold_counted", phase, phase, (h.on_hold, h.quarter_is_over),
            "of the {hold_for} of the integrity hold {hold_spent} are over",
            count_hold, aside=True,
        )
        for phase in WAITING
    ),
)  # fmt: skip
