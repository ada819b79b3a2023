"""What the table of phases asks about the announced absence of a backup."""

from __future__ import annotations

from controller.core.conditions.condition import ASKED_FOR, Condition
from controller.core.events import Kind
from controller.core.gates import maintenance as m

asked_begin = Condition(
    ASKED_FOR[Kind.BEGIN_MAINTENANCE],
    lambda v: v.request is not None and v.request.kind is Kind.BEGIN_MAINTENANCE,
    "an operator announces a maintenance of {backup}",
    "no operator asks for a maintenance",
)
asked_end = Condition(
    ASKED_FOR[Kind.END_MAINTENANCE],
    lambda v: v.request is not None and v.request.kind is Kind.END_MAINTENANCE,
    "an operator ends the maintenance of {backup}",
    "no operator asks for the end of a maintenance",
)
names_backup = Condition(
    "names_backup", m.names_backup, "the backup of {service} is {backup}", "{asked_copy}"
)
announced = Condition(
    "in_maintenance",
    lambda v: v.record.maintenance is not None,
    "{backup} is in maintenance ({maintenance_by}; {maintenance_left})",
    "no maintenance of {backup} is announced",
)
not_announced = Condition(
    "no_maintenance",
    lambda v: v.record.maintenance is None,
    "no maintenance of {backup} is announced",
    "{backup} is in maintenance ({maintenance_by}; {maintenance_left}); "
    "`saling maintenance end --service {service}` ends it",
)
was_away = Condition(
    "seen_away",
    lambda v: v.record.maintenance is not None and v.record.maintenance.away,
    "{backup} has been away since the maintenance began",
    "{backup} has not been away since the maintenance began",
)
was_not_away = Condition(
    "not_seen_away",
    lambda v: v.record.maintenance is not None and not v.record.maintenance.away,
    "{backup} has not been away since the maintenance began",
    "{backup} has been away since the maintenance began",
)
backup_is_back = Condition(
    "backup_is_back",
    m.is_back,
    "{backup} has followed for long enough to be back",
    "{backup} has not followed for long enough to be back ({backup_doing})",
)
time_is_over = Condition(
    "maintenance_time_over",
    m.time_is_over,
    "the time of the maintenance is over",
    "the time of the maintenance is not over ({maintenance_left})",
)
overdue_is_new = Condition(
    "overdue_not_told",
    m.overdue_is_new,
    "the record does not say yet that it is overdue",
    "the record says that it is overdue",
)
quarter_is_over = Condition(
    "quarter_over",
    m.quarter_is_over,
    "a further quarter of the time is over",
    "no further quarter of the time is over",
)
