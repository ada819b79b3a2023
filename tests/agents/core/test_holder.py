"""The primary's agent: writable only by right, and never a moment longer."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from agents.core.actions import (
    BeginJob,
    BeginProbe,
    ClosePermit,
    PermitAlone,
    PermitLease,
    Persist,
)
from agents.core.events import GuardState, OrderCame
from agents.core.model import JobKind, Permit
from agents.core.observation import Disk, Observation, ProbeKind
from agents.core.permission import lease_end_ms, may_write
from protocol.messages import CONTROLLER, Goal, Mode, Right, Role
from tests.agents.core.given import DATA, TERMS, Actor, B, SendAsk, kinds, order


def test_without_an_order_an_engine_is_not_even_started() -> None:
    actor = Actor().start()
    actor.pass_time(1000)
    assert actor.job is None


def test_nothing_is_decided_before_the_guard_spoke() -> None:
    actor = Actor()
    actor.order(order(Goal.PRIMARY, Right.ALONE))
    assert kinds(actor.pass_time(100)) == []


def test_an_order_without_the_echo_of_this_start_makes_nobody_writable() -> None:
    actor = Actor().start()
    actor.order(order(Goal.PRIMARY, Right.ALONE), fresh=False)
    assert actor.job is JobKind.START_STANDBY
    actor.finish()
    actor.look()
    assert actor.job is None
    assert not may_write(actor.replica, actor.now_ms)


def test_a_replayed_echo_of_an_earlier_life_makes_nobody_writable() -> None:
    actor = Actor(life="2-b").start()
    actor.feed(OrderCame(replace(order(Goal.PRIMARY, Right.ALONE), start_nonce="1-a.0")))
    assert not actor.replica.fresh


def test_standing_alone_is_persisted_before_the_guard_hears_of_it() -> None:
    actor = Actor().start()
    actions = actor.order(order(Goal.PRIMARY, Right.ALONE))
    assert kinds(actions)[:2] == [Persist, PermitAlone]


def test_an_engine_starts_as_standby_and_is_promoted_by_right() -> None:
    actor = Actor().alone()
    jobs = [a.kind for a in actor.done if isinstance(a, BeginJob)]
    assert jobs == [JobKind.START_STANDBY, JobKind.PROMOTE]
    assert actor.report().writable
    assert actor.report().mode is Mode.ALONE


def test_the_copy_counts_as_diverged_before_it_can_be_written() -> None:
    actor = Actor().start()
    actor.order(order(Goal.PRIMARY, Right.ALONE))
    actor.finish()
    actions = actor.look()
    assert kinds(actions)[0] is Persist
    assert actor.replica.durable.diverged
    assert actor.replica.durable.reign_epoch == 3


def test_arming_takes_only_a_grant_of_the_backup_under_this_revision() -> None:
    actor = Actor().alone()
    actor.order(order(Goal.PRIMARY, Right.ARMING, revision=11))
    asks = {a.grantor: a for a in actor.next_asks()}
    actor.grant(asks[CONTROLLER])
    assert actor.replica.durable.mode is Mode.ALONE
    actor.grant(asks[B], revision=10)
    assert actor.replica.durable.mode is Mode.ALONE
    again = {a.grantor: a for a in actor.next_asks()}
    actions = actor.grant(again[B], revision=11)
    assert actor.replica.durable.mode is Mode.LEASED
    assert kinds(actions)[:2] == [Persist, PermitLease]
    assert [lease.grantor for lease in actor.replica.leases] == [B]


def test_arming_does_not_take_a_lease_that_is_nearly_over() -> None:
    actor = Actor().alone()
    actor.order(order(Goal.PRIMARY, Right.ARMING, revision=11))
    late = actor.next_asks()[-1]
    actor.now_ms += 1_200
    actor.grant(late, revision=11)
    assert actor.replica.durable.mode is Mode.ALONE
    assert may_write(actor.replica, actor.now_ms)


def test_a_doubled_arming_order_does_not_take_back_the_lease() -> None:
    actor = Actor().alone()
    arming = order(Goal.PRIMARY, Right.ARMING, revision=11)
    actor.order(arming)
    actor.grant(actor.next_asks()[-1], revision=11)
    actor.order(arming)
    assert actor.replica.durable.mode is Mode.LEASED


def test_a_sync_service_is_not_armed_before_commits_wait_for_the_backup() -> None:
    actor = Actor().alone()
    actor.order(order(Goal.PRIMARY, Right.ARMING, revision=11, sync=True))
    assert actor.job is JobKind.SET_SYNC
    actor.finish()
    actor.grant(actor.next_asks()[-1], revision=11)
    assert actor.replica.durable.mode is Mode.ALONE
    actor.look(sync_active=True)
    actor.grant(actor.next_asks()[-1], revision=11, received_bytes=1999)
    assert actor.replica.durable.mode is Mode.ALONE
    actor.grant(actor.next_asks()[-1], revision=11, received_bytes=2000)
    assert actor.replica.durable.mode is Mode.LEASED


def test_a_lease_counts_from_the_question_not_from_the_answer() -> None:
    actor = Actor().leased()
    ask = actor.next_asks()[0]
    asked_ms = actor.now_ms
    actor.tick(500)
    actor.grant(ask)
    assert lease_end_ms(actor.replica) == asked_ms + 1980


def test_an_answer_that_comes_too_late_to_be_a_lease_is_dropped() -> None:
    actor = Actor().leased()
    ask = actor.next_asks()[0]
    end_ms = lease_end_ms(actor.replica)
    actor.now_ms += 1_900
    actor.grant(ask)
    assert lease_end_ms(actor.replica) in (0, end_ms)


def test_the_same_answer_twice_counts_once() -> None:
    actor = Actor().leased()
    ask = actor.next_asks()[0]
    actor.grant(ask)
    before = actor.replica.leases
    actor.grant(ask, ttl_ms=600_000)
    assert actor.replica.leases == before


@pytest.mark.parametrize("change", [{"epoch": 4}, {"nonce": "0-x.1"}, {"ttl_ms": 0}])
def test_an_answer_that_does_not_fit_gives_no_lease(change: dict[str, object]) -> None:
    actor = Actor().leased()
    before = actor.replica.leases
    actor.grant(actor.next_asks()[0], **change)
    assert actor.replica.leases == before


def test_an_answer_from_somebody_else_than_was_asked_gives_no_lease() -> None:
    actor = Actor().leased()
    ask = actor.next_asks()[0]
    before = actor.replica.leases
    actor.grant(SendAsk("ikn-1", ask.ask, None))
    assert actor.replica.leases == before


def test_one_grantor_is_enough() -> None:
    actor = Actor().leased()
    for _ in range(20):
        ask = next(a for a in actor.next_asks() if a.grantor == B)
        actor.grant(ask)
    assert may_write(actor.replica, actor.now_ms)


def test_a_renewal_is_asked_for_only_after_a_commit() -> None:
    actor = Actor().leased()
    actor.tick(400)
    assert actor.replica.probing
    asked = [a for a in actor.pass_time(900) if isinstance(a, SendAsk)]
    assert asked == []


def test_a_failed_probe_is_no_renewal() -> None:
    actor = Actor().leased()
    actor.tick(400)
    assert not [a for a in actor.fail_probe(ProbeKind.TIMEOUT) if isinstance(a, SendAsk)]


def test_one_slow_probe_fences_nobody() -> None:
    actor = Actor().leased()
    actor.tick(400)
    actor.tick(700)
    for ask in actor.commit():
        actor.grant(ask)
    assert may_write(actor.replica, actor.now_ms)


def test_an_illness_that_travels_is_said_to_every_grantor_and_reported() -> None:
    actor, actions = Actor().leased(), []
    for _ in range(2):
        while not actor.replica.probing:
            actor.tick()
        actions = actor.fail_probe(ProbeKind.SHARED, "read-only")
    asks = [a for a in actions if isinstance(a, SendAsk)]
    assert {a.grantor for a in asks} == {CONTROLLER, B}
    assert all(a.ask.illness == "read-only" and not a.ask.proven for a in asks)
    assert actor.report().illness == "read-only"


def test_an_engine_that_died_is_restarted_in_place() -> None:
    actor = Actor().leased()
    actor.die()
    assert actor.job is JobKind.START_PRIMARY


def test_a_crash_recovery_that_takes_too_long_is_handed_over_at_once() -> None:
    actor = Actor().leased()
    actor.look(recovery_bytes=10**12)
    actions = actor.die()
    asks = [a for a in actions if isinstance(a, SendAsk)]
    assert asks
    assert all(a.ask.handover and not a.ask.proven for a in asks)
    assert actor.report().handover


def test_a_restart_that_takes_too_long_is_handed_over() -> None:
    actor = Actor().leased()
    actor.die()
    actor.pass_time(TERMS.restart_budget_ms + 50)
    assert actor.report().handover


def test_an_engine_that_dies_again_and_again_is_handed_over() -> None:
    actor = Actor().leased()
    for _ in range(4):
        actor.die()
        if actor.replica.handover:
            break
        actor.finish()
        for ask in actor.commit():
            actor.grant(ask)
    assert actor.report().handover


def test_a_primary_without_a_backup_is_restarted_however_long_it_takes() -> None:
    actor = Actor().alone()
    actor.look(recovery_bytes=10**12)
    actor.die()
    assert actor.job is JobKind.START_PRIMARY
    assert not actor.report().handover


def test_an_older_order_is_ignored_for_ever() -> None:
    actor = Actor().leased()
    before = actor.replica.durable
    assert actor.order(order(Goal.BACKUP, revision=9)) == []
    assert actor.replica.durable == before


def test_a_directory_of_another_database_is_never_touched() -> None:
    actor = Actor().start(Observation(disk=Disk.DATA, system_identifier="999"))
    actor.order(order(Goal.PRIMARY, Right.ALONE))
    assert actor.job is None
    assert "999" in actor.report().problem


def test_foreign_files_are_never_touched() -> None:
    actor = Actor().start(Observation(disk=Disk.FOREIGN))
    actor.order(order(Goal.PRIMARY, Right.ALONE, create=True, system_identifier=""))
    assert actor.job is None
    assert "never touched" in actor.report().problem


def test_an_empty_directory_is_filled_only_for_a_service_that_is_new() -> None:
    lost = Actor().start(Observation())
    lost.order(order(Goal.PRIMARY, Right.ALONE))
    assert lost.job is None
    new = Actor().start(Observation())
    new.order(order(Goal.PRIMARY, Right.ALONE, create=True, system_identifier=""))
    assert new.job is JobKind.CREATE


def test_existing_data_are_adopted_only_by_their_name() -> None:
    actor = Actor().start(DATA)
    actor.order(order(Goal.PRIMARY, Right.ALONE, create=True, system_identifier=""))
    assert actor.job is None
    assert "system_identifier" in actor.report().problem
    assert BeginProbe not in kinds(actor.done)


def test_an_engine_that_the_guard_is_still_ending_is_not_promised_to_be_fenced() -> None:
    old = Actor().leased()
    old.order(order(Goal.PRIMARY, countdown=True, revision=13))
    actor = Actor(old.replica.durable, life="2-b")
    actions = actor.feed(GuardState(Permit.CLOSED, 0, True, True))
    assert ClosePermit in kinds(actions)
    assert not actor.report().fenced
    actor.tick()
    assert actor.report().fenced


def test_an_engine_that_stands_again_takes_back_the_wish_to_hand_over() -> None:
    actor = Actor().leased()
    actor.look(recovery_bytes=10**12)
    actor.die()
    assert actor.report().handover
    actor.finish(error="too slow")
    actor.look(role=Role.STANDBY)
    assert not actor.report().handover


def test_a_leap_of_the_log_does_not_look_like_a_flood() -> None:
    actor = Actor().leased()
    begun_ms = actor.now_ms
    for leap in [0] * 5 + [16 * 2**20] * 3 + [32 * 2**20] * 3:
        actor.pass_time(400)
        for ask in actor.commit(2_000 + (actor.now_ms - begun_ms) + leap):
            actor.grant(ask)
    assert actor.replica.rate_bytes_s < 10_000


def test_a_new_life_finds_the_rate_at_its_second_proof() -> None:
    actor = Actor().leased()
    actor.replica = replace(actor.replica, rates=(), proven_position_bytes=0)
    for position in (1_000_000, 1_400_000):
        actor.pass_time(400)
        for ask in actor.commit(position):
            actor.grant(ask)
    assert 0.9e6 < actor.replica.rate_bytes_s < 1.1e6


def test_a_load_that_has_just_begun_is_seen_at_the_next_proof() -> None:
    actor = Actor().leased()
    position = 10_000
    for grown in [40] * 20 + [40_000]:
        position += grown
        actor.pass_time(400)
        for ask in actor.commit(position):
            actor.grant(ask)
    assert actor.replica.rate_bytes_s >= 90_000


def test_a_flood_is_seen_within_a_few_proofs() -> None:
    actor = Actor().leased()
    position = 10_000
    for grown in [400] * 10 + [30_000_000] * 5:
        position += grown
        actor.pass_time(400)
        for ask in actor.commit(position):
            actor.grant(ask)
    assert actor.replica.rate_bytes_s >= 70e6


def test_a_steady_rate_is_found_within_seconds() -> None:
    actor = Actor().leased()
    begun_ms = actor.now_ms
    for _ in range(60):
        actor.pass_time(400)
        for ask in actor.commit(10_000 + (actor.now_ms - begun_ms) * 1000):
            actor.grant(ask)
    assert 0.9e6 < actor.replica.rate_bytes_s < 1.1e6
