"""A required layer of the fence that does not hold: who may not write, and who goes on."""

from __future__ import annotations

import pytest

from agents.core.actions import ClosePermit, PermitLease
from agents.core.events import FencesTold
from agents.core.model import Durable, JobKind, Permit
from agents.core.permission import lease_end_ms, may_write
from protocol.messages import Goal, Mode, Right
from tests.agents.core.given import TERMS, Actor, kinds, order

NO_NFT = FencesTold("process, no nftables (no capability)", "nftables: no capability; give it", 0)
WHOLE = FencesTold("process, nftables", "", 0)
PATIENT = FencesTold("process, watchdog", "", TERMS.ttl_ms + 1)


@pytest.mark.parametrize("right", [Right.ALONE, Right.LEASED])
def test_a_copy_without_its_fence_does_not_become_primary(right: Right) -> None:
    actor = Actor().start()
    actor.feed(NO_NFT)
    actor.order(order(Goal.PRIMARY, right))
    actor.pass_time(500)
    assert actor.job is JobKind.START_STANDBY
    assert actor.replica.permit is Permit.CLOSED
    assert "no capability" in actor.report().fence_missing
    assert "no capability" in actor.report().problem
    actor.feed(WHOLE)
    assert actor.report().fence_missing == ""
    assert actor.report().fences == "process, nftables"
    assert may_write(actor.replica, actor.now_ms) is (right is Right.ALONE)


def test_one_that_writes_alone_goes_on_but_takes_no_lease() -> None:
    actor = Actor().alone()
    actor.feed(NO_NFT)
    assert may_write(actor.replica, actor.now_ms)
    actor.order(order(Goal.PRIMARY, Right.ARMING, revision=11))
    actor.grant(actor.next_asks()[-1], revision=11)
    assert actor.replica.durable.mode is Mode.ALONE
    assert actor.replica.permit is Permit.ALONE
    actor.feed(WHOLE)
    actor.grant(actor.next_asks()[-1], revision=11)
    assert actor.replica.durable.mode is Mode.LEASED
    assert ClosePermit not in kinds(actor.done)


def test_one_that_writes_under_a_lease_gets_no_longer_one() -> None:
    actor = Actor().leased()
    end_ms = actor.replica.permit_end_ms
    actor.feed(NO_NFT)
    for ask in actor.next_asks():
        actor.grant(ask)
    assert lease_end_ms(actor.replica) - TERMS.fence_budget_ms > end_ms
    assert actor.replica.permit_end_ms == end_ms
    actor.feed(WHOLE)
    assert actor.replica.permit_end_ms > end_ms


def test_leases_too_short_for_a_required_layer_count_as_a_missing_one() -> None:
    actor = Actor().start()
    actor.feed(PATIENT)
    actor.order(order(Goal.PRIMARY, Right.ALONE))
    assert actor.replica.permit is Permit.CLOSED
    assert f"{TERMS.ttl_ms + 1} ms" in actor.report().fence_missing


def test_the_guard_is_told_when_the_lease_was_asked_for_and_when_it_ends() -> None:
    actor = Actor().leased()
    permits = [action for action in actor.done if isinstance(action, PermitLease)]
    last = permits[-1]
    assert last.lease_end_ms - last.end_ms == TERMS.fence_budget_ms
    assert last.asked_ms == last.lease_end_ms - TERMS.ttl_ms * 99 // 100
    assert last.ttl_ms == TERMS.ttl_ms


def test_nothing_durable_is_a_moment_of_a_clock_that_a_boot_sets_back() -> None:
    """A lease is void after a boot, for no trace of it is left: no guard, no lease, no moment."""
    durations = {"ttl_ceiling_ms"}
    moments = {field for field in Durable.__struct_fields__ if field.endswith("_ms")}
    assert moments == durations
    actor = Actor().leased()
    after = Actor(actor.replica.durable, life="2-b").start()
    after.pass_time(500)
    assert not may_write(after.replica, after.now_ms)
    assert after.replica.start_nonce
