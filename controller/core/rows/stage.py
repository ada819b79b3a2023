"""The rows of the table of phases for a backup in a site that is planned or suspended.

It is treated as a backup that is lost: nobody could be promoted, so the primary stands alone and
needs no lease. They lead nowhere but to ALONE and, from a drain that began before, back to
PROTECTED; all ways to PROMOTING ask for `backup_in_use` besides.
"""

from __future__ import annotations

from controller.core.conditions import block as b
from controller.core.conditions import pair as c
from controller.core.conditions import stage as s
from controller.core.model import Phase
from controller.core.rows.effects import release
from controller.core.rows.row import GIVEN_UP, Row

P = Phase
ALONE = "{primary} stands alone, for {out_of_use}: {backup} would not take over"

STAGE_ROWS: tuple[Row, ...] = (
    Row(
        "backup_out_of_use", P.PROTECTED, P.ALONE,
        (s.backup_out_of_use, c.primary_proves_since_declared, b.may_stand_alone), ALONE, release,
    ),
    Row(
        "backup_out_of_use_in_arming", P.ARMING, P.ALONE,
        (s.backup_out_of_use, c.primary_heard, b.may_stand_alone), ALONE, release,
    ),
    Row(
        "backup_out_of_use_in_countdown", P.COUNTDOWN, P.ALONE,
        (s.backup_out_of_use, c.primary_present, b.may_stand_alone),
        ALONE + "; nothing was moved", release, GIVEN_UP,
    ),
    Row(
        "backup_out_of_use_in_block", P.COUNTDOWN, P.PROTECTED,
        (s.backup_out_of_use, c.primary_present, b.must_wait),
        "{out_of_use} and {primary} is heard; nothing was moved, and no commit of {service} goes "
        "on without {backup}",
        release, GIVEN_UP,
    ),
    Row(
        "backup_out_of_use_in_drain", P.DRAINING, P.PROTECTED,
        (s.backup_out_of_use, c.primary_heard),
        "the drain of {primary} is called off, for {out_of_use}; {primary} shall serve on",
        release, GIVEN_UP,
    ),
)  # fmt: skip
