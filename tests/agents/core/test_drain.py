"""A planned switchover loses nothing: stop, confirm, then release; or resume, never both."""

from __future__ import annotations

from agents.core.actions import PermitLease, SendAsk
from agents.core.events import GuardState
from agents.core.model import JobKind, Permit
from agents.core.observation import Disk
from protocol.messages import Goal, Right, Role
from tests.agents.core.given import SYSTEM, TERMS, Actor, B, kinds, order


def draining() -> Actor:
    actor = Actor().leased()
    actor.order(order(Goal.DRAIN, revision=13))
    return actor


def drained() -> Actor:
    actor = draining()
    actor.die()
    actor.finish(position_bytes=5000)
    return actor


def partner_question(actor: Actor) -> SendAsk:
    asks = [a for a in actor.pass_time(100) if isinstance(a, SendAsk)]
    assert {a.grantor for a in asks} == {B}
    return asks[0]


def test_a_drain_begins_at_once_and_is_no_crash() -> None:
    actor = draining()
    assert actor.job is JobKind.DRAIN
    actor.die()
    assert actor.job is JobKind.DRAIN
    assert actor.replica.crashed_ms < 0


def test_the_lease_is_released_only_when_the_backup_has_the_whole_log() -> None:
    actor = drained()
    actor.grant(partner_question(actor), received_bytes=4999, ttl_ms=0)
    assert not actor.report().released
    actor.grant(partner_question(actor), received_bytes=5000, ttl_ms=0)
    told = actor.report()
    assert told.released
    assert told.position_bytes == 5000
    assert not actor.replica.durable.diverged


def test_after_the_release_grants_are_ignored() -> None:
    actor = drained()
    first, second = partner_question(actor), partner_question(actor)
    actor.grant(first, received_bytes=5000, ttl_ms=0)
    assert PermitLease not in kinds(actor.grant(second))
    assert not actor.replica.leases


def test_a_drain_that_is_not_confirmed_in_time_is_resumed_for_good() -> None:
    actor = drained()
    late = partner_question(actor)
    actor.pass_time(TERMS.drain_budget_ms + 100)
    assert actor.report().resumed
    actor.grant(late, received_bytes=5000)
    assert not actor.report().released
    actor.order(order(Goal.DRAIN, revision=13))
    wanted = actor.pass_time(500)
    asks = [a for a in wanted if isinstance(a, SendAsk) and not a.ask.handover]
    actor.grant(asks[-1], received_bytes=5000)
    assert not actor.report().released
    assert actor.job is JobKind.START_STANDBY
    actor.finish()
    actor.look()
    assert actor.job is JobKind.PROMOTE


def test_a_drain_whose_stop_failed_is_resumed() -> None:
    actor = draining()
    actor.finish(error="still busy")
    assert actor.report().resumed


def test_a_drain_that_an_earlier_life_stopped_the_engine_for_is_resumed_at_once() -> None:
    """Nobody remembers where its log ended; waiting for the controller would be an outage."""
    before = draining()
    before.die()
    actor = Actor(before.replica.durable, life="2-a").start()
    assert actor.report().resumed
    assert not actor.report().released


def test_a_new_life_goes_on_with_a_drain_whose_engine_still_runs() -> None:
    before = draining()
    actor = Actor(before.replica.durable, life="2-a")
    actor.feed(GuardState(Permit.LEASED, actor.now_ms + 1500, True, True))
    actor.look(role=Role.PRIMARY, disk=Disk.DATA, system_identifier=SYSTEM)
    assert not actor.report().resumed
    assert actor.job is JobKind.DRAIN


def test_after_a_release_a_higher_revision_may_let_it_write_again() -> None:
    actor = drained()
    actor.grant(partner_question(actor), received_bytes=5000, ttl_ms=0)
    actor.order(order(Goal.PRIMARY, Right.ARMING, revision=14))
    assert actor.job is JobKind.START_STANDBY
    actor.finish()
    actor.look()
    assert actor.job is JobKind.PROMOTE


def test_a_drained_primary_follows_the_new_one_without_a_rewind() -> None:
    actor = drained()
    actor.grant(partner_question(actor), received_bytes=5000, ttl_ms=0)
    actor.order(order(Goal.BACKUP, revision=14, epoch=4))
    assert actor.job is JobKind.START_STANDBY
