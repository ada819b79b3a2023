"""A local veto: taken before a change of the role or not at all, and then kept to its end."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from agents.core.events import GuardState, VetoAsked, VetoEnded
from agents.core.invariants import InvariantBroken, check
from agents.core.model import Durable, JobKind, Permit
from agents.core.observation import Disk, Observation
from protocol.messages import Goal, Right, Role
from tests.agents.core.given import DATA, PARTNERS, SYSTEM, Actor, B, SendReport, kinds, order

LASTS_MS = 60_000
TEXT = "siti: a new disk"
STANDBY = Observation(
    role=Role.STANDBY, disk=Disk.DATA, system_identifier=SYSTEM,
    upstream=PARTNERS[B].engine_address, streaming=True,
)  # fmt: skip


def veto(actor: Actor, lasts_ms: int = LASTS_MS) -> str:
    """Ask for it; why it is not taken, empty when it is."""
    actor.feed(VetoAsked("v1", TEXT, actor.now_ms + lasts_ms))
    assert actor.replica.veto_asked == "v1"
    return actor.replica.veto_refusal


def backup() -> Actor:
    actor = Actor().start(STANDBY)
    actor.order(order(Goal.BACKUP))
    return actor


def promoted() -> Actor:
    """A backup that is ordered to be the primary, and has not begun."""
    actor = backup()
    actor.look(role=Role.STARTING)
    actor.order(order(Goal.PRIMARY, Right.ALONE, revision=13, epoch=4))
    assert actor.job is None
    return actor


def test_it_is_told_at_once_with_what_is_left_of_it() -> None:
    actor = backup()
    actor.tick()
    actor.feed(VetoAsked("v1", TEXT, actor.now_ms + LASTS_MS))
    assert SendReport in kinds(actor.done[-3:])
    actor.tick(after_ms=1000)
    told = actor.report()
    assert (told.veto, told.veto_left_ms) == (TEXT, LASTS_MS - 1000)


def test_it_ends_by_its_time_and_that_is_told() -> None:
    actor = backup()
    veto(actor)
    assert SendReport in kinds(actor.tick(after_ms=LASTS_MS))
    assert (actor.report().veto, actor.report().veto_left_ms) == ("", 0)


def test_it_ends_when_it_is_released() -> None:
    actor = backup()
    veto(actor)
    actor.feed(VetoEnded())
    assert actor.report().veto == ""


def test_a_promotion_that_is_ordered_later_waits_until_it_ends() -> None:
    actor = backup()
    assert veto(actor) == ""
    actor.order(order(Goal.PRIMARY, Right.ALONE, revision=13, epoch=4))
    actor.pass_time(5000)
    assert actor.job is None
    assert actor.replica.durable.reign_epoch == 0
    actor.tick(after_ms=LASTS_MS)
    assert actor.job is JobKind.PROMOTE


def test_it_is_not_taken_once_the_promotion_is_ordered_for_there_is_no_way_back() -> None:
    actor = promoted()
    assert "there is no way back" in veto(actor)
    assert actor.report().veto == ""


def test_it_is_not_taken_while_a_job_that_changes_the_role_is_under_way() -> None:
    actor = backup()
    actor.order(order(Goal.PRIMARY, Right.ALONE, revision=13, epoch=4))
    assert actor.job is JobKind.PROMOTE
    assert "under way already (promote)" in veto(actor)


def test_a_backup_that_is_counted_upon_in_a_countdown_does_not_take_it() -> None:
    """What it said under that revision may be what the promotion hangs on."""
    actor = backup()
    actor.order(order(Goal.BACKUP, revision=13, countdown=True, may_grant=False))
    assert actor.report().stopped
    assert "`saling hold paspor` in the centre stops it" in veto(actor)


def test_a_backup_that_is_being_moved_to_does_not_take_it_and_does_once_that_is_called_off() -> (
    None
):
    """The swap hangs on what it says under that revision, and has no way back."""
    actor = backup()
    actor.order(order(Goal.BACKUP, revision=13, moving=True))
    assert "a move to this host is under way" in veto(actor)
    assert actor.report().veto == ""
    actor.order(order(Goal.BACKUP, revision=14))
    assert veto(actor) == ""


def test_one_that_was_taken_before_a_move_to_this_host_is_told_under_its_revision() -> None:
    actor = backup()
    assert veto(actor) == ""
    actor.order(order(Goal.BACKUP, revision=13, moving=True))
    told = actor.report()
    assert (told.revision, told.veto) == (13, TEXT)


def test_a_primary_that_is_counted_down_may_take_it_for_it_has_no_say() -> None:
    actor = Actor().leased()
    actor.order(order(Goal.PRIMARY, revision=13, countdown=True))
    assert veto(actor) == ""


def test_a_move_that_is_under_way_goes_on_and_it_is_not_taken() -> None:
    actor = Actor().leased()
    actor.order(order(Goal.DRAIN, revision=13))
    assert actor.job is JobKind.DRAIN
    assert "under way" in veto(actor)
    actor.die()
    actor.finish(position_bytes=5000)
    assert "a move from this host is under way" in veto(actor)


def test_a_move_that_is_ordered_later_is_given_up_at_once() -> None:
    actor = Actor().leased()
    assert veto(actor) == ""
    actor.order(order(Goal.DRAIN, revision=13))
    assert actor.job is None
    assert actor.report().resumed
    assert actor.report().writable


def test_an_old_primary_comes_back_as_a_backup_only_afterwards() -> None:
    actor = Actor().leased()
    assert veto(actor) == ""
    actor.order(order(Goal.BACKUP, revision=14, epoch=4))
    actor.die()
    actor.pass_time(5000)
    assert actor.job is None
    actor.tick(after_ms=LASTS_MS)
    assert actor.job is JobKind.REJOIN


@pytest.mark.parametrize("disk", [Disk.EMPTY, Disk.PARTIAL])
def test_nothing_is_copied_anew(disk: Disk) -> None:
    actor = Actor().start(Observation(disk=disk))
    veto(actor)
    actor.order(order(Goal.BACKUP))
    actor.pass_time(5000)
    assert actor.job is None


def test_a_primary_restarts_in_its_own_reign() -> None:
    durable = Actor().leased().replica.durable
    actor = Actor(durable, life="2-a").start(replace(DATA, role=Role.STANDBY))
    veto(actor)
    actor.order(order(Goal.PRIMARY, Right.ALONE, revision=13))
    assert actor.job is JobKind.PROMOTE


def test_a_standby_starts_and_follows() -> None:
    actor = Actor().start(DATA)
    veto(actor)
    actor.order(order(Goal.BACKUP))
    assert actor.job is JobKind.START_STANDBY


def test_a_fence_heeds_no_veto() -> None:
    actor = Actor().leased()
    veto(actor)
    actor.pass_time(4000)
    assert actor.replica.permit is Permit.CLOSED
    assert not actor.report().writable


def test_a_new_reign_under_a_veto_breaks_an_invariant() -> None:
    actor = backup()
    veto(actor)
    before = actor.replica
    after = replace(before, durable=replace(before.durable, reign_epoch=4))
    with pytest.raises(InvariantBroken, match="under a veto no new reign begins"):
        check(before, after)


def test_an_agent_that_was_never_ordered_anything_takes_it() -> None:
    actor = Actor(Durable())
    actor.feed(GuardState(Permit.CLOSED, 0, False, False))
    assert veto(actor) == ""
