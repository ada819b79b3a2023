"""The table of phases: every change of a service's record, in one place.

`TABLE` is read top-down; the first row of the present phase whose conditions all hold is
taken. Each row carries its operator's sentence, which is stored with the record and shown
everywhere. The diagram in docs/phases.md is generated from this table.

Why there is never a second writer: a row may lead to PROMOTING only from a phase in which nobody is
granted a lease (COUNTDOWN, or HELD for a loss or for capacity, which order the same), once every
promise has run out or the primary has promised under this very revision not to write; or from
DRAINING, once the primary has promised the same and stopped. Waiting for the rest of a fenced
primary's log only delays that. ALONE, ARMING and HELD for illness, in which the primary
writes without a lease, have no row to COUNTDOWN. The only way from them to PROTECTED is a
primary that acknowledged, under the present revision, that it wants a lease again. By force
they lead to HELD, and from there on to PROMOTING on a person's word alone, that the host is off
(`rows/force.py`). COUNTDOWN and DRAINING give no right without a lease, so they may lead back to
PROTECTED directly.

A disk that fills adds no way to PROMOTING either. It begins the DRAINING that an operator may
begin, or leads from PROTECTED to ALONE as the loss of a backup does (`rows/disk.py`).

A maintenance of the backup adds no way to PROMOTING: its rows lead to ALONE, from PROTECTED and
ARMING as the loss of a backup does and else from ALONE itself, and it takes one way away, that to
ARMING. All grantors go on granting in ALONE (rule 8), so that nobody is fenced on the way either.

`backup_loss: block` takes away the ways to ALONE; what it adds leads to where other rows lead, and
one to PROMOTING from HELD for a loss, with what the others there ask: that nobody can be writing.

A backup whose host's operator forbids to change its role is as good as lost (`rows/veto.py`), and
so is one in a site that is planned or suspended (`rows/stage.py`).

The turn in a group and the room at a site take ways away until they are there; HELD for capacity is
what HELD for a loss is, and leads to PROMOTING by what `fence_certain` asks (`rows/room.py`).

An integrity hold takes all ways away that move a service, and adds one: from DRAINING back to
PROTECTED, as a drain that takes too long has it (`rows/hold.py`).

What people accept (`rows/approval.py`) and what is set (`rows/settings.py`) lead nowhere but to
where the others ask everything again: to COUNTDOWN, to ALONE, or to the same phase.
"""

from __future__ import annotations

from controller.core.conditions import approval as a
from controller.core.conditions import block as b
from controller.core.conditions import hold as h
from controller.core.conditions import maintenance as m
from controller.core.conditions import pair as c
from controller.core.conditions import room as r
from controller.core.conditions import stage as s
from controller.core.conditions import veto as v
from controller.core.conditions.condition import held_for, not_held_for
from controller.core.model import HeldFor, Phase
from controller.core.moment.view import View
from controller.core.rows.approval import APPROVAL_ROWS
from controller.core.rows.block import BLOCK_ROWS
from controller.core.rows.disk import DISK_ROWS
from controller.core.rows.effects import (
    adopt,
    begin_failover,
    begin_switchover,
    bind,
    hold,
    hold_restored,
    learn_identity,
    promote,
    rearm,
    release,
)
from controller.core.rows.force import FORCE_ROWS
from controller.core.rows.hold import HOLD_ROWS
from controller.core.rows.maintenance import MAINTENANCE_ROWS
from controller.core.rows.room import ROOM_ROWS
from controller.core.rows.row import DONE, GIVEN_UP, Row
from controller.core.rows.settings import SETTINGS_ROWS
from controller.core.rows.stage import STAGE_ROWS
from controller.core.rows.veto import VETO_ROWS

P = Phase
RESTORED = (
    "held: an agent knows revision {heard_revision} and the store only {revision}, so the store is "
    "an older copy; `saling approve {service}` accepts what the agents know"
)

TABLE: tuple[Row, ...] = (
    *(
        Row(
            "store_restored", phase, P.HELD, (c.store_behind,),
            RESTORED, hold_restored, GIVEN_UP,
        )
        for phase in Phase if phase is not P.HELD
    ),
    # PROTECTED: leased, and the backup may take over.
    Row(
        "illness", P.PROTECTED, P.HELD, (c.primary_ill,),
        "held: commits fail at {primary} for a reason that {backup} shares, so that a promotion "
        "would not help: {illness}",
        hold(HeldFor.ILLNESS),
    ),
    Row(
        "switchover", P.PROTECTED, P.DRAINING,
        (
            c.asked_switchover, c.primary_proves, c.primary_can_promise, c.backup_follows,
            c.backup_fit, h.not_on_hold, v.backup_willing,
            s.backup_in_use, v.primary_willing, r.in_turn, r.room_to_move,
        ),
        "an operator moves the service from {primary} to {backup}{over_capacity}; {primary} stops "
        "in order",
        begin_switchover,
    ),
    Row(
        "primary_gave_up", P.PROTECTED, P.COUNTDOWN,
        (
            c.primary_gave_up, c.backup_stands, c.not_paused, h.not_on_hold, v.backup_willing,
            s.backup_in_use,
        ),
        "{primary} says that its engine is dead and not soon back; leases are extended no more",
        begin_failover,
    ),
    Row(
        "primary_silent", P.PROTECTED, P.COUNTDOWN,
        (
            c.primary_silent, c.primary_had_time, c.backup_hears_nothing, c.backup_stands,
            c.not_paused, h.not_on_hold, v.backup_willing, s.backup_in_use,
        ),
        "{primary} has proved no commit for {silence}, and {backup} hears nothing of it either; "
        "leases are extended no more",
        begin_failover,
    ),
    Row(
        "failover_asked", P.PROTECTED, P.COUNTDOWN,
        (
            c.asked_failover, c.primary_silent, c.backup_hears_nothing, c.backup_stands,
            h.not_on_hold, v.backup_willing, s.backup_in_use,
        ),
        "an operator asks for a failover from {primary}, silent for {silence}; leases are "
        "extended no more",
        begin_failover,
    ),
    Row(
        "backup_lost", P.PROTECTED, P.ALONE,
        (c.backup_lost, c.primary_proves_this_revision, b.may_stand_alone),
        "{backup} is lost ({backup_doing}); {primary} stands alone, and needs no lease, for "
        "nobody could take over",
        release,
    ),
    *DISK_ROWS,
    # DRAINING: a planned move; the primary stops in order and loses nothing.
    Row(
        "drained", P.DRAINING, P.PROMOTING,
        (
            c.primary_released, c.backup_stands, v.backup_willing,
            s.backup_in_use, r.in_turn, r.has_room,
        ),
        "{primary} stopped in order, {backup} has its whole log: {backup} becomes primary",
        promote,
    ),
    Row(
        "drain_resumed", P.DRAINING, P.PROTECTED, (c.primary_resumed,),
        "{primary} gave its drain up, for {backup} had not the whole log in time or its agent was "
        "started anew; {primary} serves on",
        release, GIVEN_UP,
    ),
    Row(
        "drain_overdue", P.DRAINING, P.PROTECTED, (c.drain_overdue, c.primary_heard),
        "the drain of {primary} took too long and is called off; {primary} shall serve on",
        release, GIVEN_UP,
    ),
    Row(
        "drain_broken", P.DRAINING, P.COUNTDOWN,
        (c.primary_unheard, c.backup_hears_nothing, c.backup_stands),
        "{primary} fell silent while it was drained; leases are extended no more",
        lambda view: {"last_word": view.worst_word},
    ),
    # COUNTDOWN: nobody is granted a lease; wait until nobody can be writing.
    Row(
        "illness_in_countdown", P.COUNTDOWN, P.HELD, (c.primary_ill,),
        "held: commits fail at {primary} for a reason that {backup} shares, so that a promotion "
        "would not help: {illness}",
        hold(HeldFor.ILLNESS),
    ),
    Row(
        "primary_back", P.COUNTDOWN, P.PROTECTED, (c.primary_proved_since,),
        "{primary} commits again; nothing was moved, leases are extended as before",
        release, GIVEN_UP,
    ),
    Row(
        "backup_refuses", P.COUNTDOWN, P.PROTECTED, (c.backup_refuses,),
        "{backup} still hears commits of {primary}: the link is dead, not {primary}; nothing was "
        "moved, leases are extended as before",
        release, GIVEN_UP,
    ),
    Row(
        "loss_too_large", P.COUNTDOWN, P.HELD,
        (c.fence_certain, c.backup_stands, c.log_settled, c.loss_unbearable),
        "held: a failover loses {estimated_loss}, only {accepted_loss} are accepted; "
        "`saling approve {service}` releases it",
        hold(HeldFor.LOSS),
    ),
    Row(
        "fence_certain", P.COUNTDOWN, P.PROMOTING,
        (
            c.fence_certain, c.backup_stands, c.log_settled, c.loss_bearable, h.not_on_hold,
            v.backup_willing, s.backup_in_use, r.in_turn, r.has_room,
        ),
        "nobody can be writing in epoch {epoch} any more and a takeover loses {estimated_loss}: "
        "{backup} becomes primary",
        promote,
    ),
    Row(
        "backup_lost_in_countdown", P.COUNTDOWN, P.ALONE,
        (c.backup_lost, c.primary_present, b.may_stand_alone),
        "{backup} is lost ({backup_doing}) and {primary} is heard; nothing was moved, {primary} "
        "stands alone",
        release, GIVEN_UP,
    ),
    # PROMOTING and ROUTING: after the swap of the epoch there is no way back.
    Row(
        "promoted", P.PROMOTING, P.ROUTING, (c.primary_reigns,),
        "{primary} commits in epoch {epoch}; traffic moves to it",
    ),
    Row(
        "routed", P.ROUTING, P.ALONE, (c.primary_reigns,),
        "{primary} serves in epoch {epoch}; it stands alone until {backup} follows it",
        release, DONE,
    ),
    # ALONE: no backup is eligible; the primary writes without a lease.
    Row(
        "first_copy", P.ALONE, P.ALONE, (c.identity_unknown, c.primary_has_identity),
        "{primary} made the first copy: database {system_identifier}",
        learn_identity,
    ),
    Row(
        "backup_ready", P.ALONE, P.ARMING,
        (
            m.not_announced, c.primary_acknowledged_alone, c.primary_proves, c.backup_stands,
            c.backup_follows, c.backup_fit, v.backup_willing, s.backup_in_use,
        ),
        "{backup} follows {primary} closely; {primary} is asked to take a lease from it",
        rearm,
    ),
    # ARMING: the primary writes without a lease until it holds one of the new backup.
    Row(
        "armed", P.ARMING, P.PROTECTED,
        (
            c.primary_acknowledged_lease, c.backup_stands, c.backup_fit, v.backup_willing,
            s.backup_in_use,
        ),
        "{primary} writes under a lease and {backup} may take over",
        bind,
    ),
    Row(
        "identity_learned", P.ARMING, P.ARMING, (c.identity_unknown, c.primary_has_identity),
        "{primary} holds database {system_identifier}, which an older copy of the store lacked",
        learn_identity,
    ),
    Row(
        "backup_unfit_in_arming", P.ARMING, P.ALONE,
        (c.primary_heard, c.backup_unfit, b.may_stand_alone),
        "{backup} is not fit to take over ({unfit}); {primary} stands alone",
        release,
    ),
    Row(
        "backup_lost_in_arming", P.ARMING, P.ALONE,
        (c.backup_lost, c.primary_heard, b.may_stand_alone),
        "{backup} is lost again ({backup_doing}); {primary} stands alone",
        release,
    ),
    *MAINTENANCE_ROWS,
    # HELD: an operator decides, or what was missing comes back by itself.
    Row(
        "store_restored_in_hold", P.HELD, P.HELD,
        (c.store_behind, not_held_for(HeldFor.RESTORED)), RESTORED, hold_restored, GIVEN_UP,
    ),
    Row(
        "restored_accepted", P.HELD, P.HELD,
        (c.asked_approve, held_for(HeldFor.RESTORED), a.approval_names_epoch, c.both_heard),
        "what the agents know is accepted by {request}; both replicas must take this revision "
        "first",
        adopt,
    ),
    Row(
        "adopted", P.HELD, P.ARMING, (held_for(HeldFor.ADOPTION), c.both_took),
        "both replicas know this record; {primary} goes on, the pair is armed anew",
        rearm,
    ),
    Row(
        "well_again", P.HELD, P.ALONE,
        (held_for(HeldFor.ILLNESS), c.primary_proved_since, c.primary_well, b.may_stand_alone),
        "{primary} commits again; it stands alone until the pair is armed anew",
        release, GIVEN_UP,
    ),
    Row(
        "primary_back_in_hold", P.HELD, P.ARMING,
        (r.held_in_countdown, c.primary_present),
        "{primary} is back with all its data; nothing was moved, the pair is armed anew",
        rearm, GIVEN_UP,
    ),
    Row(
        "log_arrived", P.HELD, P.PROMOTING,
        (
            held_for(HeldFor.LOSS), c.fence_certain, c.backup_stands, c.log_taken, c.not_paused,
            h.not_on_hold, v.backup_willing, s.backup_in_use, r.in_turn, r.has_room,
        ),
        "{primary} is fenced and {backup} has its whole log, so nothing is lost: {backup} becomes "
        "primary",
        promote,
    ),
    *APPROVAL_ROWS,
    # A failover by force: one person asks, another one proves that the old host is off.
    *FORCE_ROWS,
    *SETTINGS_ROWS,
    *VETO_ROWS,
    *STAGE_ROWS,
    *BLOCK_ROWS,
    *ROOM_ROWS,
    *HOLD_ROWS,
)  # fmt: skip


ROWS_FROM = {phase: tuple(row for row in TABLE if row.source is phase) for phase in Phase}
"""The rows that may fire in each phase, in their order."""


def first_row(view: View) -> Row | None:
    """The row that fires now. Nested loops, for this is a good part of every step's work."""
    for row in ROWS_FROM[view.record.phase]:
        for condition in row.when:
            if not condition.test(view):
                break
        else:
            return row
    return None
