"""A copy that cannot follow as it is gets mended by itself, and says why it is not eligible."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from agents.core.actions import BeginJob
from agents.core.model import Durable, JobKind
from agents.core.observation import Disk, Observation
from protocol.messages import Goal, Right, Role
from tests.agents.core.given import PARTNERS, SYSTEM, Actor, B, order

STANDBY = Observation(
    role=Role.STANDBY,
    disk=Disk.DATA,
    system_identifier=SYSTEM,
    upstream=PARTNERS[B].engine_address,
    streaming=True,
)
GONE = "the upstream has removed the log after 0/5000000"


def backup() -> Actor:
    actor = Actor().start(STANDBY)
    actor.order(order(Goal.BACKUP))
    return actor


def test_a_backup_whose_log_is_gone_says_why_it_is_not_eligible_and_is_made_anew() -> None:
    actor = backup()
    assert actor.job is None
    actor.look(streaming=False, stranded=GONE)
    assert actor.job is JobKind.REJOIN
    assert actor.report().problem == f"not eligible, for it cannot follow: {GONE}"
    assert not actor.report().streaming
    actor.finish()
    assert actor.report().problem == ""
    actor.look(role=Role.DOWN, upstream="")
    assert actor.job is JobKind.START_STANDBY


def test_a_backup_that_only_waits_for_its_upstream_is_left_as_it_is() -> None:
    actor = backup()
    actor.look(streaming=False)
    actor.pass_time(5000)
    assert actor.job is None


def test_a_copy_that_refuses_to_start_three_times_is_looked_into() -> None:
    actor = backup()
    actor.look(role=Role.DOWN, streaming=False)
    for _ in range(3):
        assert actor.job is JobKind.START_STANDBY
        actor.finish(error="requested timeline 2 is not a child of this server's history")
        actor.pass_time(6000)
    assert actor.job is JobKind.REJOIN
    actor.finish()
    actor.look(role=Role.DOWN)
    assert actor.job is JobKind.START_STANDBY


def test_a_primary_that_does_not_start_is_never_rewound() -> None:
    actor = Actor().start()
    actor.order(order(Goal.PRIMARY, Right.ALONE))
    for _ in range(5):
        assert actor.job is JobKind.START_STANDBY
        actor.finish(error="no space left on device")
        actor.pass_time(6000)


def test_what_was_copied_anew_holds_nothing_of_its_own() -> None:
    actor = Actor(Durable(diverged=True)).start(Observation(disk=Disk.PARTIAL))
    actor.order(order(Goal.BACKUP))
    assert actor.job is JobKind.SEED
    actor.finish()
    assert not actor.replica.durable.diverged
    actor.look(role=Role.DOWN)
    assert actor.job is JobKind.START_STANDBY


def test_a_promotion_names_the_partner_whose_slot_must_stand_first() -> None:
    actor = Actor().start(STANDBY)
    actions = actor.order(order(Goal.PRIMARY, Right.ALONE))
    [begun] = [action for action in actions if isinstance(action, BeginJob)]
    assert (begun.kind, begun.upstream) == (JobKind.PROMOTE, PARTNERS[B])


def rejoins_in(actor: Actor, span_ms: int, after_rejoin: Callable[[], object]) -> int:
    """How often it is looked into, when nothing comes of it."""
    count, until_ms = 0, actor.now_ms + span_ms
    while actor.now_ms < until_ms:
        if actor.job is JobKind.REJOIN:
            count += 1
            actor.finish()
            after_rejoin()
        elif actor.job is JobKind.START_STANDBY:
            actor.finish(error="requested timeline 2 is not a child of this server's history")
        actor.tick()
    return count


def test_a_copy_that_never_starts_is_looked_into_ever_more_seldom() -> None:
    actor = backup()
    actor.look(role=Role.DOWN, streaming=False)
    down = partial(actor.look, role=Role.DOWN, upstream="")
    assert 3 <= rejoins_in(actor, 60_000, down) <= 6
    assert rejoins_in(actor, 300_000, down) <= 6


def test_one_that_seems_to_stream_for_a_moment_in_vain_is_looked_into_ever_more_seldom() -> None:
    actor = backup()
    actor.look(streaming=False, stranded=GONE)

    def starts_in_vain() -> None:
        actor.look(role=Role.DOWN, upstream="", stranded="")
        actor.finish()
        actor.look(role=Role.STANDBY, upstream=PARTNERS[B].engine_address, streaming=True)
        actor.look(streaming=False, stranded=GONE)

    assert 3 <= rejoins_in(actor, 60_000, starts_in_vain) <= 6
    assert rejoins_in(actor, 300_000, starts_in_vain) <= 6
    actor.look(streaming=True, stranded="")
    actor.pass_time(12_000)
    actor.look()
    actor.look(streaming=False, stranded=GONE)
    assert actor.job is JobKind.REJOIN


def test_who_reigned_since_is_looked_into_at_once() -> None:
    actor = backup()
    actor.look(streaming=False, stranded=GONE)
    actor.finish()
    actor.replica = replace(actor.replica, rejoins=9, rejoin_after_ms=actor.now_ms + 60_000)
    actor.look(role=Role.STANDBY, upstream=PARTNERS[B].engine_address)
    actor.order(order(Goal.PRIMARY, Right.ALONE, revision=11))
    assert actor.job is JobKind.PROMOTE
    actor.finish()
    actor.order(order(Goal.BACKUP, revision=12))
    actor.look(role=Role.DOWN, upstream="", stranded="")
    assert actor.job is JobKind.REJOIN
    assert actor.replica.rejoins == 0
