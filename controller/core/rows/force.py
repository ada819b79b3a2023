"""The rows of the table of phases for a failover by force (docs/decisions/0016).

A primary that stood alone has no deadline: no wait makes it certain that it does not write. So
nobody is promoted before a second person has said that its host is off, looked at after the first
one's request was stored. Any sign of life of its agent, or of its commits at the backup, ends it.
"""

from __future__ import annotations

from controller.core.conditions import approval as a
from controller.core.conditions import block as b
from controller.core.conditions import force as f
from controller.core.conditions import hold as h
from controller.core.conditions import pair as c
from controller.core.conditions import stage as s
from controller.core.conditions import veto as v
from controller.core.conditions.condition import held_for
from controller.core.model import HeldFor, Phase
from controller.core.rows.effects import begin_force, promote, release
from controller.core.rows.row import GIVEN_UP, Row

P = Phase

FORCE_NEEDS = (
    f.asked_force, f.names_epoch, c.primary_unheard, c.primary_silent, c.backup_stands,
    c.backup_hears_nothing, h.not_on_hold, v.backup_willing, s.backup_in_use, b.may_be_forced,
)  # fmt: skip
FORCED = (
    "held: {request} asks to move it by force; make sure now that the host of {primary} is off and "
    "stays off, then somebody else says so: `saling failover {service} --force --epoch {epoch} "
    "--proof TEXT`"
)

FORCE_ROWS: tuple[Row, ...] = (
    *(
        Row("force_asked", phase, P.HELD, (*also, *FORCE_NEEDS), FORCED, begin_force)
        for phase, also in (
            (P.ALONE, ()), (P.ARMING, ()), (P.HELD, (held_for(HeldFor.ILLNESS),))
        )
    ),
    Row(
        "primary_heard_in_force", P.HELD, P.ALONE,
        (held_for(HeldFor.FORCED), f.primary_heard_since),
        "the agent {primary} is heard, so its host is not off: nothing was moved, {primary} "
        "stands alone",
        release, GIVEN_UP,
    ),
    Row(
        "backup_hears_in_force", P.HELD, P.ALONE,
        (held_for(HeldFor.FORCED), f.backup_hears_primary),
        "{backup} still hears commits of {primary}, so its host is not off: nothing was moved, "
        "{primary} stands alone",
        release, GIVEN_UP,
    ),
    Row(
        "force_given_up", P.HELD, P.ALONE, (f.asked_end, held_for(HeldFor.FORCED)),
        "the failover by force was given up by {request}; nothing was moved, {primary} stands "
        "alone",
        release, GIVEN_UP,
    ),
    Row(
        "force_ran_out", P.HELD, P.ALONE, (held_for(HeldFor.FORCED), a.approval_ended),
        "the failover by force that {approved_by} asked for ended undone, for {approval_over}; "
        "{primary} stands alone",
        release, GIVEN_UP,
    ),
    Row(
        "force_proved", P.HELD, P.PROMOTING,
        (
            f.asked_proof, held_for(HeldFor.FORCED), f.names_epoch, f.proof_stated,
            f.another_person, c.backup_stands, c.backup_hears_nothing, c.promises_over,
            f.loss_accepted, h.not_on_hold, v.backup_willing, s.backup_in_use,
        ),
        "{asked_by} states that the host of {primary} is off and stays off: {proof}; {backup} "
        "becomes primary by force and loses {estimated_loss} of {loss_time} at most",
        promote,
    ),
)  # fmt: skip
