"""What the table of phases asks about leave to lose data."""

from __future__ import annotations

from controller.core.conditions.condition import Condition
from controller.core.gates import approvals as a

approval_fits = Condition(
    "approval_fits",
    a.fits,
    "the approval names epoch {epoch} and covers the loss of {loss} and {loss_time}",
    "an approval must name epoch {epoch} and a loss of at least {approval_figures}",
)
approval_names_epoch = Condition(
    "approval_names_epoch",
    lambda v: v.request is not None and v.request.epoch == v.record.epoch,
    "the approval names epoch {epoch}",
    "an approval must name epoch {epoch}",
)
enough_people = Condition(
    "enough_people",
    a.enough_people,
    "all who must accept the loss do",
    "it takes two different people to accept a loss of tier {tier}; so far {approved_by} did",
)
first_of_two = Condition(
    "first_of_two",
    lambda v: v.two_people and a.first_person(v) is None,
    "it takes two people to accept a loss of tier {tier}, and nobody did yet",
    "tier {tier} asks for one person alone, or one accepted the loss already: then somebody else "
    "must say the same",
)
approval_ended = Condition(
    "approval_ended",
    a.ended,
    "the approval of {approved_by} is good no more, for {approval_over}",
    "no approval is noted that is good no more",
)
