"""The rows of the table of phases for the planned absence of a backup: announced, noticed, over by
itself or by an operator."""

from __future__ import annotations

from controller.core.conditions import maintenance as m
from controller.core.conditions import pair as c
from controller.core.model import Phase
from controller.core.rows.effects import (
    begin_maintenance,
    count_maintenance,
    end_maintenance,
    note_away,
)
from controller.core.rows.row import Row

P = Phase

MAINTENANCE = (
    "a maintenance of {backup} for {asked_for} was announced by {request}; {primary} stands alone: "
    "while {backup} is away nobody can take over {service}, and what it commits stands only at "
    "{primary}"
)

MAINTENANCE_ROWS: tuple[Row, ...] = (
    *(
        Row("maintenance", phase, P.ALONE, (m.asked_begin, m.names_backup, *also), MAINTENANCE,
            begin_maintenance)
        for phase, also in (
            (P.PROTECTED, (c.primary_proves,)), (P.ARMING, (c.primary_heard,)), (P.ALONE, ())
        )
    ),
    Row(
        "maintenance_ended", P.ALONE, P.ALONE, (m.asked_end, m.announced),
        "the maintenance of {backup} was ended by {request}; {primary} stands alone until {backup} "
        "follows it",
        end_maintenance,
    ),
    Row(
        "maintenance_over", P.ALONE, P.ALONE, (m.announced, m.was_away, m.backup_is_back),
        "{backup} is back from its maintenance and follows; the pair is armed again",
        end_maintenance,
    ),
    Row(
        "maintenance_ran_out", P.ALONE, P.ALONE, (m.announced, m.time_is_over, m.backup_is_back),
        "the {maintenance_for} of the maintenance of {backup} are over and it follows; the pair is "
        "armed again",
        end_maintenance,
    ),
    Row(
        "maintenance_overdue", P.ALONE, P.ALONE,
        (m.announced, m.time_is_over, m.overdue_is_new),
        "the maintenance of {backup} ({maintenance_by}) is overdue: its {maintenance_for} are over "
        "and it has not followed for long enough ({backup_doing}); {primary} stands alone",
        count_maintenance,
    ),
    Row(
        "maintenance_away", P.ALONE, P.ALONE,
        (m.announced, m.was_not_away, c.backup_lost, c.primary_heard),
        "{backup} is away for its maintenance ({maintenance_by}); {primary} stands alone, and the "
        "pair is armed again by itself when {backup} is back",
        note_away,
    ),
    Row(
        "maintenance_counted", P.ALONE, P.ALONE, (m.announced, m.quarter_is_over),
        "of the {maintenance_for} of the maintenance of {backup} {maintenance_spent} are over",
        count_maintenance, aside=True,
    ),
)  # fmt: skip
