"""A copy that was adopted as a standby, while a primary that Saling does not run yet writes."""

from __future__ import annotations

from agents.core.actions import BeginJob, PermitAlone, PermitLease
from agents.core.model import Durable, JobKind
from protocol.messages import Goal, Mode, Right
from tests.agents.core.given import Actor, kinds, order


def test_ordered_to_be_primary_at_once_it_stays_closed_and_says_why() -> None:
    actor = Actor(Durable(adopted_standby=True)).start()
    actor.order(order(Goal.PRIMARY, Right.ALONE))
    actor.pass_time(1000)
    assert not {BeginJob, PermitAlone, PermitLease} & set(kinds(actor.done))
    assert "priority 1" in actor.replica.problem


def test_after_it_was_a_backup_it_may_be_promoted_like_any_other() -> None:
    actor = Actor(Durable(adopted_standby=True)).start()
    actor.order(order(Goal.BACKUP))
    assert not actor.replica.durable.adopted_standby
    assert actor.replica.job and actor.replica.job.kind is JobKind.START_STANDBY
    actor.finish()
    actor.order(order(Goal.PRIMARY, Right.ALONE, revision=11, epoch=4))
    assert actor.replica.durable.mode is Mode.ALONE
    assert PermitAlone in kinds(actor.done)
