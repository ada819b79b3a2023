"""The rows of the table of phases for a backup whose host's operator forbids to change its role.

It is treated as a backup that is lost: nobody could be promoted, so the primary stands alone and
needs no lease. They lead nowhere but to ALONE and, from a drain that began before the veto was
known, back to PROTECTED; all ways to PROMOTING ask for `backup_willing` besides.
"""

from __future__ import annotations

from controller.core.conditions import block as b
from controller.core.conditions import pair as c
from controller.core.conditions import veto as v
from controller.core.model import Phase
from controller.core.rows.effects import release
from controller.core.rows.row import GIVEN_UP, Row

P = Phase
ALONE = (
    "{primary} stands alone, for an operator of {backup}'s host forbids any change of its role "
    "({backup_veto}): {backup} follows, and would not take over"
)

VETO_ROWS: tuple[Row, ...] = (
    Row(
        "backup_vetoes", P.PROTECTED, P.ALONE,
        (v.backup_vetoes, c.primary_proves_after_backup, b.may_stand_alone), ALONE, release,
    ),
    Row(
        "backup_vetoes_in_arming", P.ARMING, P.ALONE,
        (v.backup_vetoes, c.primary_heard, b.may_stand_alone), ALONE,
        release,
    ),
    Row(
        "backup_vetoes_in_countdown", P.COUNTDOWN, P.ALONE,
        (v.backup_vetoes, c.primary_present, b.may_stand_alone),
        ALONE + "; nothing was moved", release, GIVEN_UP,
    ),
    Row(
        "backup_vetoes_in_block", P.COUNTDOWN, P.PROTECTED,
        (v.backup_vetoes, c.primary_present, b.must_wait),
        "an operator of {backup}'s host forbids any change of its role ({backup_veto}) and "
        "{primary} is heard; nothing was moved, and no commit of {service} goes on "
        "without {backup}",
        release, GIVEN_UP,
    ),
    Row(
        "backup_vetoes_in_drain", P.DRAINING, P.PROTECTED, (v.backup_vetoes, c.primary_heard),
        "the drain of {primary} is called off, for an operator of {backup}'s host forbids any "
        "change of its role ({backup_veto}); {primary} shall serve on",
        release, GIVEN_UP,
    ),
)  # fmt: skip
