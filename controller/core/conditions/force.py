"""What the table of phases asks about a failover by force (docs/decisions/0016)."""

from __future__ import annotations

from controller.core.conditions.condition import Condition, asked
from controller.core.events import Kind
from controller.core.gates import approvals
from controller.core.moment.view import View

asked_force = asked(Kind.FORCE)
asked_proof = asked(Kind.PROVE)
asked_end = asked(Kind.END_FORCE)


def _heard_since(view: View) -> bool:
    """Since the force was asked for: the phase may be HELD for longer, for an illness."""
    return view.service.primary_heard_ms > view.service.approved_ms


def _backup_hears(view: View) -> bool:
    backup, now = view.backup, view.backup_now
    refuses = backup is not None and backup.refused_revision == view.record.revision
    return refuses or (now is not None and now.primary_heard)


def _another_person(view: View) -> bool:
    request, first = view.request, view.record.approval
    if request is None or first is None or not view.approval_left_ms:
        return False
    return not approvals.same_person(request.by, first.by)


def _loss_accepted(view: View) -> bool:
    """Within the bound, which is 0 in sync mode, nobody need name it; what is not known must be
    accepted in words."""
    request = view.request
    if approvals.within_bound(view) or request is None:
        return approvals.within_bound(view)
    if view.loss_bytes is None:
        return request.loss_bytes >= 0
    return approvals.covers(view, request.loss_bytes, request.loss_ms)


names_epoch = Condition(
    "names_epoch",
    lambda v: v.request is not None and v.request.epoch == v.record.epoch,
    "it names epoch {epoch}",
    "it must name epoch {epoch}",
)
primary_heard_since = Condition(
    "primary_heard_since",
    _heard_since,
    "the agent {primary} was heard since: its host is not off",
    "the agent {primary} was not heard since",
)
backup_hears_primary = Condition(
    "backup_hears_primary",
    _backup_hears,
    "{backup} still hears commits of {primary}: it is not off",
    "{backup} does not say that it hears {primary}",
)
proof_stated = Condition(
    "proof_stated",
    lambda v: v.request is not None and bool(v.request.proof.strip()),
    "it is stated how one knows that the host of {primary} is off",
    "it must state how one knows that the host of {primary} is off and stays off, looked at "
    "after the force was asked for: not that its engine is dead, nor what was seen earlier",
)
another_person = Condition(
    "another_person",
    _another_person,
    "somebody else than {approved_by} says so",
    "somebody else than {approved_by}, who asked for the force, must say so",
)
loss_accepted = Condition(
    "force_loss_accepted",
    _loss_accepted,
    "the loss of {loss} and {loss_time} is accepted, or within the bound of {bound}",
    "it must name a loss of at least {approval_figures}; {primary} stood alone and has no "
    "deadline, so that this grows until it is off",
)
