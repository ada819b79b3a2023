"""The rows of a sync service whose commits wait for a lost backup, or whose backup is too old.

With `backup_loss: block` nothing is relaxed: what leads to ALONE asks `may_stand_alone`, and here
stands what happens instead. They are read after the others of their phase, which exclude them.
"""

from __future__ import annotations

from controller.core.conditions import block as b
from controller.core.conditions import hold as h
from controller.core.conditions import pair as c
from controller.core.conditions import room as r
from controller.core.conditions import stage as s
from controller.core.conditions import veto as v
from controller.core.conditions.condition import held_for
from controller.core.model import HeldFor, Phase
from controller.core.rows.effects import (
    begin_wait,
    end_wait,
    promote,
    rearm,
    release,
    take_backup_loss,
)
from controller.core.rows.row import GIVEN_UP, Row

P = Phase

BLOCK_ROWS: tuple[Row, ...] = (
    *(
        Row(
            "commits_wait", phase, phase,
            (c.backup_lost, b.backup_streams_not, c.primary_proves, b.must_wait, b.not_waiting),
            "{backup} is lost ({backup_doing}); commits of {service} wait until it is back, as "
            "`backup_loss: block` says. To go on without it: `saling maintenance begin --service "
            "{service} --for TIME --reason TEXT`",
            begin_wait,
        )
        for phase in (P.PROTECTED, P.ARMING)
    ),
    Row(
        "commits_go_on", P.PROTECTED, P.PROTECTED,
        (b.is_waiting, b.backup_is_back, b.backup_is_sync, b.backup_has_all),
        "{backup} is back and has all that was acknowledged; commits of {service} go on",
        end_wait,
    ),
    Row(
        "backup_away_in_countdown", P.COUNTDOWN, P.PROTECTED,
        (c.backup_lost, c.primary_present, b.must_wait, b.backup_does_not_stand),
        "{backup} is lost ({backup_doing}) and {primary} is heard; nothing was moved, and no "
        "commit of {service} goes on without {backup}",
        release, GIVEN_UP,
    ),
    Row(
        "well_again_bound", P.HELD, P.ARMING,
        (held_for(HeldFor.ILLNESS), c.primary_proved_since, c.primary_well, b.must_wait),
        "{primary} commits again, and commits wait for {backup}; the pair is armed anew",
        rearm, GIVEN_UP,
    ),
    Row(
        "backup_caught_up", P.HELD, P.PROMOTING,
        (
            held_for(HeldFor.LOSS), c.fence_certain, c.backup_stands, b.backup_has_all,
            c.not_paused, h.not_on_hold, v.backup_willing, s.backup_in_use, r.in_turn, r.has_room,
        ),
        "nobody can be writing in epoch {epoch} any more and {backup} has all that was "
        "acknowledged: {backup} becomes primary",
        promote,
    ),
    *(
        Row(
            "new_backup_loss", phase, phase, (*also, b.backup_loss_changed),
            "the configuration says `backup_loss: {backup_loss}`", take_backup_loss, aside=True,
        )
        for phase, also in (
            (P.PROTECTED, ()), (P.ARMING, ()), (P.HELD, (held_for(HeldFor.ILLNESS),))
        )
    ),
)  # fmt: skip
