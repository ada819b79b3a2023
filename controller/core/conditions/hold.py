"""What the table of phases asks about an integrity hold."""

from __future__ import annotations

from controller.core.conditions.condition import ASKED_FOR, Condition
from controller.core.events import Kind
from controller.core.gates import holds as h

asked_hold = Condition(
    ASKED_FOR[Kind.HOLD],
    lambda v: v.request is not None and v.request.kind is Kind.HOLD,
    "an operator asks for an integrity hold",
    "no operator asks for an integrity hold",
)
asked_release = Condition(
    ASKED_FOR[Kind.RELEASE],
    lambda v: v.request is not None and v.request.kind is Kind.RELEASE,
    "an operator releases the integrity hold",
    "no operator asks for the end of an integrity hold",
)
on_hold = Condition(
    "on_hold",
    lambda v: v.record.hold is not None,
    "an integrity hold is on ({hold_by}; {hold_left})",
    "no integrity hold is on",
)
not_on_hold = Condition(
    "not_on_hold",
    lambda v: v.record.hold is None,
    "no integrity hold is on",
    "an integrity hold is on ({hold_by}; {hold_left}): replication carries damage too, so nobody "
    "takes over before it ends or is ended: `saling release {service}`",
)
time_is_over = Condition(
    "hold_time_over",
    h.time_is_over,
    "the time of the integrity hold is over",
    "no integrity hold's time is over ({hold_left})",
)
quarter_is_over = Condition(
    "hold_quarter_over",
    h.quarter_is_over,
    "a further quarter of the hold's time is over",
    "no further quarter of the hold's time is over",
)
