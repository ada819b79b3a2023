"""Fences, promises and restarts: what is promised is true, whatever was forgotten."""

from __future__ import annotations

from agents.core.actions import (
    ClosePermit,
    EndEngine,
    Persist,
)
from agents.core.events import GuardState, PersistFailed
from agents.core.model import JobKind, Permit
from agents.core.observation import Disk
from agents.core.permission import lease_end_ms, may_write
from protocol.messages import Goal, Mode, Right, Role
from tests.agents.core.given import TERMS, Actor, SendAsk, kinds, order


def test_without_grants_the_fence_comes_before_the_end_of_the_lease() -> None:
    actor = Actor().leased()
    end_ms = lease_end_ms(actor.replica)
    while may_write(actor.replica, actor.now_ms):
        actor.tick()
        if actor.replica.probing:
            actor.commit()
    assert ClosePermit in kinds(actor.done)
    assert end_ms - TERMS.fence_budget_ms <= actor.now_ms < end_ms


def test_after_a_fence_only_a_fresh_order_and_a_lease_make_it_writable_again() -> None:
    actor = Actor().leased()
    nonce = actor.replica.start_nonce
    actor.die(fenced=True)
    assert actor.replica.start_nonce not in ("", nonce)
    assert not may_write(actor.replica, actor.now_ms)
    actor.finish()
    actor.look()
    assert not [a for a in actor.pass_time(1000) if isinstance(a, SendAsk)]
    actor.order(order(Goal.PRIMARY, Right.LEASED, revision=12))
    asks = [a for a in actor.pass_time(500) if isinstance(a, SendAsk)]
    assert asks
    assert not asks[0].ask.proven
    actor.grant(asks[0])
    assert actor.job is JobKind.PROMOTE


def test_in_a_countdown_a_primary_that_commits_goes_on_and_says_so() -> None:
    actor = Actor().leased()
    actor.order(order(Goal.PRIMARY, countdown=True, revision=13))
    assert may_write(actor.replica, actor.now_ms)
    assert actor.next_asks()
    assert not actor.report().fenced


def test_in_a_countdown_a_primary_whose_engine_is_dead_promises_its_fence() -> None:
    actor = Actor().leased()
    actor.die()
    actor.order(order(Goal.PRIMARY, countdown=True, revision=13))
    actions = actor.tick()
    assert kinds(actions)[0] is Persist
    assert actor.replica.durable.fenced_revision == 13
    assert actor.report().fenced
    assert not actor.replica.leases


def test_a_promised_fence_holds_until_a_higher_revision() -> None:
    actor = Actor().leased()
    actor.die()
    actor.order(order(Goal.PRIMARY, countdown=True, revision=13))
    actor.tick()
    actor.order(order(Goal.PRIMARY, Right.LEASED, revision=13))
    asks = [a for a in actor.pass_time(2000) if isinstance(a, SendAsk)]
    assert all(a.ask.handover for a in asks)
    assert not may_write(actor.replica, actor.now_ms)
    actor.order(order(Goal.PRIMARY, Right.ARMING, revision=14))
    assert may_write(actor.replica, actor.now_ms)


def test_becoming_the_backup_fences_at_once_and_rejoins() -> None:
    actor = Actor().leased()
    actions = actor.order(order(Goal.BACKUP, revision=13, epoch=4))
    assert kinds(actions)[:2] == [Persist, ClosePermit]
    assert not actor.replica.leases
    actor.die()
    assert actor.job is JobKind.REJOIN


def test_a_new_life_goes_on_with_the_engine_that_outlived_the_old_one() -> None:
    old = Actor().leased()
    actor = Actor(old.replica.durable, life="2-b")
    actor.feed(GuardState(Permit.LEASED, actor.now_ms + 900, True, True))
    actor.look(role=Role.PRIMARY, disk=Disk.DATA, system_identifier="7301")
    assert may_write(actor.replica, actor.now_ms)
    assert ClosePermit not in kinds(actor.done)
    assert all(not a.ask.nonce.startswith("1-a") for a in actor.next_asks())


def test_after_a_host_restart_a_primary_that_stood_alone_waits_for_a_fresh_order() -> None:
    old = Actor().alone()
    actor = Actor(old.replica.durable, life="2-b").start()
    actor.pass_time(1000)
    assert actor.job is JobKind.START_STANDBY
    assert not may_write(actor.replica, actor.now_ms)
    assert actor.report().start_nonce == "2-b.0"


def test_a_grant_for_a_nonce_of_another_life_is_dropped() -> None:
    old = Actor().leased()
    ask = old.next_asks()[0]
    actor = Actor(old.replica.durable, life="2-b")
    actor.feed(GuardState(Permit.LEASED, actor.now_ms + 400, True, True))
    before = actor.replica.leases
    actor.grant(ask)
    assert actor.replica.leases == before


def test_an_engine_that_somebody_promoted_by_hand_is_ended() -> None:
    actor = Actor().start()
    actor.order(order(Goal.BACKUP))
    actor.finish()
    actor.tick()
    assert EndEngine in kinds(actor.look(role=Role.PRIMARY))


def test_an_engine_that_was_just_fenced_is_not_taken_for_a_usurper() -> None:
    actor = Actor().leased()
    actor.order(order(Goal.BACKUP, revision=13, epoch=4))
    assert EndEngine not in kinds(actor.pass_time(100))


def test_a_state_that_cannot_be_written_decides_nothing_new() -> None:
    actor = Actor().leased()
    assert Persist not in kinds(actor.feed(PersistFailed("no space left")))


def test_a_lease_is_not_acknowledged_before_the_guard_keeps_it() -> None:
    old = Actor().leased()
    actor = Actor(old.replica.durable, life="2-b")
    actor.tick()
    assert actor.report().mode is Mode.NONE
    actor.feed(GuardState(Permit.ALONE, 0, True, True))
    assert ClosePermit in kinds(actor.done)


def test_another_order_under_the_same_revision_is_put_aside() -> None:
    actor = Actor().alone()
    before = actor.replica.durable
    actor.order(order(Goal.PRIMARY, Right.LEASED, term=9))
    actor.order(order(Goal.BACKUP, term=9))
    assert actor.replica.durable == before
    assert "restored" in actor.report().problem


def test_a_higher_revision_of_an_older_term_is_taken_for_a_store_may_be_restored() -> None:
    actor = Actor().alone()
    actor.order(order(Goal.PRIMARY, Right.ALONE, term=8, revision=20))
    actor.order(order(Goal.PRIMARY, Right.ALONE, term=6, revision=1020))
    assert actor.report().revision == 1020


def test_the_news_of_a_fence_closes_the_permit_at_the_guard_too() -> None:
    assert ClosePermit in kinds(Actor().leased().die(fenced=True))
