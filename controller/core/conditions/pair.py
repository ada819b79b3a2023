"""The questions that most rows ask: how the pair stands, and what an operator asks for."""

from __future__ import annotations

from controller.core.conditions.condition import Condition, asked
from controller.core.events import Kind
from controller.core.gates import approvals
from controller.core.model import Protection
from controller.core.moment.view import View, cannot_take_over
from protocol.messages import Mode, Role

ASYNC_PATIENCE_MS = 10_000
"""How long a backup that is heard may not stream before an async service gives it up."""


def _backup_stands(view: View) -> bool:
    report = view.backup_now
    if report is None or cannot_take_over(report):
        return False
    return report.role is Role.STANDBY and view.is_copy(report)


def _backup_lost(view: View) -> bool:
    if view.unheard_ms(view.record.backup) >= view.lost_after_ms:
        return True
    since_ms = view.service.ailing_since_ms
    heard = view.backup
    patient = heard is not None and heard.role is Role.STANDBY
    if patient and view.record.protection is Protection.ASYNC:
        return since_ms >= 0 and view.now_ms - since_ms >= ASYNC_PATIENCE_MS
    return since_ms >= 0 and view.now_ms - since_ms >= view.lost_after_ms


def _promises_over(view: View) -> bool:
    report = view.backup_now
    return (
        view.own_promise_left_ms == 0
        and report is not None
        and report.stopped
        and report.promise_left_ms == 0
    )


def _released(view: View) -> bool:
    primary, backup = view.primary_now, view.backup_now
    return (
        primary is not None
        and primary.released
        and backup is not None
        and backup.position_bytes >= primary.position_bytes > 0
    )


def _reigns(view: View) -> bool:
    report = view.primary_now
    return report is not None and report.writable and report.epoch == view.record.epoch


def _present(view: View) -> bool:
    report = view.primary_now
    return report is not None and report.role in (Role.STANDBY, Role.PRIMARY)


def _both_took(view: View) -> bool:
    primary, backup = view.primary_now, view.backup_now
    if primary is None or backup is None:
        return False
    return backup.role is not Role.PRIMARY and not backup.writable


store_behind = Condition(
    "store_behind",
    lambda v: v.service.heard_revision > v.record.revision,
    "an agent knows revision {heard_revision}, the store only {revision}: it is an older copy",
    "no agent knows a later revision than the store",
)
primary_silent = Condition(
    "primary_silent",
    lambda v: v.silence_ms >= v.silent_after_ms,
    "{primary} has proved no commit to the controller for {silence}",
    "{primary} proved a commit to the controller {silence} ago (silent after {threshold})",
)
primary_had_time = Condition(
    "primary_had_time",
    # It may have been still for long by order, in a drain that was given up: it starts again now.
    lambda v: v.in_phase_ms >= v.silent_after_ms,
    "{primary} has had the time to prove a commit in this phase",
    "{primary} has not had the time to prove a commit in this phase",
)
primary_proves = Condition(
    "primary_proves",
    lambda v: v.service.proven_once and v.silence_ms < v.silent_after_ms,
    "{primary} proved a commit to the controller {silence} ago",
    "{primary} proves no commit to the controller",
)
primary_proves_this_revision = Condition(
    "primary_proves_this_revision",
    # A proof may come late, when the primary has died since. One that was dead already when this
    # revision was made can prove nothing under it.
    lambda v: primary_proves(v) and v.service.proven_revision == v.record.revision,
    "{primary} proved a commit under this revision to the controller {silence} ago",
    "{primary} proves no commit under this revision to the controller",
)
primary_proved_since = Condition(
    "primary_proved_since",
    lambda v: v.service.proven_once and v.service.proven_ms > v.service.entered_ms,
    "{primary} has proved a commit since",
    "{primary} has proved no commit since",
)
primary_ill = Condition(
    "primary_ill",
    lambda v: v.primary is not None and bool(v.primary.illness),
    "commits fail at {primary} for a reason that {backup} shares: {illness}",
    "{primary} reports no illness that {backup} would share",
)
primary_well = Condition(
    "primary_well",
    lambda v: v.primary is not None and not v.primary.illness,
    "{primary} is heard and reports no illness",
    "{primary} is not heard, or still reports: {illness}",
)
primary_gave_up = Condition(
    "primary_gave_up",
    lambda v: v.primary_now is not None and v.primary_now.handover,
    "{primary} says that its engine is dead and not soon back",
    "{primary} does not ask to hand over",
)
primary_fenced = Condition(
    "primary_fenced",
    lambda v: v.primary_now is not None and v.primary_now.fenced,
    "{primary} has proved that it is fenced",
    "{primary} has not proved that it is fenced",
)
primary_released = Condition(
    "primary_released",
    _released,
    "{primary} stopped in order and {backup} has all of its log",
    "{primary} has not stopped with all of its log at {backup} yet",
)
primary_resumed = Condition(
    "primary_resumed",
    lambda v: v.primary_now is not None and v.primary_now.resumed,
    "{primary} gave up the drain and serves again",
    "{primary} has not given up the drain",
)
primary_heard = Condition(
    "primary_heard",
    lambda v: v.primary_now is not None,
    "the agent {primary} is heard and knows this revision",
    "the agent {primary} is not heard, or does not know this revision yet",
)
primary_unheard = Condition(
    "primary_unheard",
    # A controller that has just begun to lead has heard nobody yet: that is not silence.
    lambda v: v.primary is None and v.unheard_ms(v.record.primary) >= v.lost_after_ms,
    "the agent {primary} is not heard",
    "the agent {primary} is heard",
)
primary_present = Condition(
    "primary_present",
    _present,
    "{primary} is heard and its engine stands",
    "{primary} is not heard with a standing engine",
)
primary_reigns = Condition(
    "primary_reigns",
    _reigns,
    "{primary} commits in epoch {epoch}",
    "{primary} does not commit in epoch {epoch} yet",
)
primary_acknowledged_alone = Condition(
    "primary_acknowledged_alone",
    lambda v: v.primary_now is not None and v.primary_now.mode is Mode.ALONE,
    "{primary} knows that it stands alone",
    "{primary} has not acknowledged that it stands alone",
)
primary_acknowledged_lease = Condition(
    "primary_acknowledged_lease",
    lambda v: v.primary_now is not None and v.primary_now.mode is Mode.LEASED,
    "{primary} holds a lease from {backup} and wants no other right",
    "{primary} has not acknowledged a lease from {backup}",
)
primary_has_identity = Condition(
    "primary_has_identity",
    lambda v: v.primary is not None and bool(v.primary.system_identifier),
    "{primary} holds database {system_identifier}",
    "{primary} holds no data yet",
)
identity_unknown = Condition(
    "identity_unknown",
    lambda v: not v.record.system_identifier,
    "no copy of the service is known yet",
    "the service has its first copy already",
)
primary_can_promise = Condition(
    "primary_can_promise",
    lambda v: v.primary is not None and not v.primary.cannot_promise,
    "{primary} can write what it promises",
    "{primary} cannot promise anything: {primary_problem}",
)
backup_hears_nothing = Condition(
    "backup_hears_nothing",
    lambda v: (
        v.backup_now is not None
        and not v.backup_now.primary_heard
        and not v.backup_now.primary_illness
    ),
    "{backup} is heard, and hears nothing of {primary} either",
    "{backup} {backup_hears}",
)
backup_refuses = Condition(
    "backup_refuses",
    lambda v: v.backup is not None and v.backup.refused_revision == v.record.revision,
    "{backup} refuses to stop granting, for it still hears {primary}",
    "{backup} does not refuse",
)
backup_stands = Condition(
    "backup_stands",
    _backup_stands,
    "{backup} stands by under this revision",
    "{backup} does not stand by under this revision ({backup_doing})",
)
backup_follows = Condition(
    "backup_follows",
    lambda v: (
        v.service.following_since_ms >= 0 and v.now_ms - v.service.following_since_ms >= v.settle_ms
    ),
    "{backup} streams, {lag} behind",
    "{backup} does not follow closely ({backup_doing}; {lag} behind)",
)
backup_fit = Condition(
    "backup_fit",
    lambda v: not v.unfit,
    "{backup} has what {primary} needs",
    "{backup} is not fit to take over: {unfit}",
)
backup_unfit = Condition(
    "backup_unfit",
    lambda v: v.backup is not None and bool(v.unfit),
    backup_fit.no,
    backup_fit.yes,
)
backup_lost = Condition(
    "backup_lost",
    _backup_lost,
    "{backup} is lost: {backup_doing}",
    "{backup} is not lost",
)
promises_over = Condition(
    "promises_over",
    _promises_over,
    "every grantor has stopped and every lease it gave has run out",
    "a lease may still be relied upon (controller {promise_left}, {backup} {backup_promise_left})",
)
fence_certain = Condition(
    "fence_certain",
    lambda v: primary_fenced(v) or promises_over(v),
    "nobody can be writing in epoch {epoch}",
    "{primary} may still be writing: neither is it proved fenced nor have all leases run out "
    "(controller {promise_left}, {backup} {backup_promise_left})",
)
log_settled = Condition(
    "log_settled",
    lambda v: not v.waits_for_log,
    "nothing more of {primary}'s log is waited for",
    "{primary} is fenced and its host lives: {backup} takes the rest of its log first",
)
log_taken = Condition(
    "log_taken",
    lambda v: v.log_taken,
    "{backup} has the whole log of {primary}",
    "{backup} does not have the whole log of {primary}",
)
loss_bearable = Condition(
    "loss_bearable",
    approvals.bears_loss,
    "a failover loses {estimated_loss}, {accepted_loss} are accepted",
    "a failover loses {estimated_loss}, only {accepted_loss} are accepted",
)
loss_unbearable = Condition(
    "loss_unbearable", lambda v: not approvals.bears_loss(v), loss_bearable.no, loss_bearable.yes
)
not_paused = Condition(
    "not_paused",
    lambda v: not v.record.paused,
    "automatic failover is on",
    "automatic failover is paused ({paused}); `saling resume {service}` turns it on",
)
is_paused = Condition("is_paused", lambda v: bool(v.record.paused), not_paused.no, not_paused.yes)
drain_overdue = Condition(
    "drain_overdue",
    lambda v: v.in_phase_ms >= 2 * v.record.terms.drain_budget_ms,
    "the drain is overdue",
    "the drain is within its time",
)
both_took = Condition(
    "both_took",
    _both_took,
    "both replicas have taken revision {revision}",
    "not both replicas have taken revision {revision}",
)
both_heard = Condition(
    "both_heard",
    lambda v: v.primary is not None and v.backup is not None,
    "both agents are heard",
    "both agents must be heard, so that what was true is known",
)
settings_changed = Condition(
    "settings_changed",
    lambda v: v.record.terms != v.spec.terms,
    "the configuration has new lease times",
    "the lease times are those of the configuration",
)
protection_changed = Condition(
    "protection_changed",
    lambda v: v.record.protection is not v.spec.protection,
    "the configuration asks for another protection",
    "the protection is that of the configuration",
)
backup_redeclared = Condition(
    "backup_redeclared",
    lambda v: v.declared_backup != v.record.backup,
    "the configuration has another backup than {backup}: {declared_backup}",
    "the backup is that of the configuration",
)
asked_switchover = asked(Kind.SWITCHOVER)
asked_failover = asked(Kind.FAILOVER)
asked_approve = asked(Kind.APPROVE)
asked_pause = asked(Kind.PAUSE)
asked_resume = asked(Kind.RESUME)
