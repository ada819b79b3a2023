"""The backup's agent as a grantor, and as a copy that follows."""

from __future__ import annotations

from typing import Any

import pytest

from agents.core.actions import Persist, SendReport
from agents.core.events import PersistFailed, PersistWorks
from agents.core.model import JobKind
from agents.core.observation import Disk, Observation
from protocol.messages import Assignment, Goal, Role
from protocol.windows import grantor_window_ms, silence_ms
from tests.agents.core.given import DATA, TERMS, Actor, kinds, order


def backup() -> Actor:
    actor = Actor().start()
    actor.order(order(Goal.BACKUP))
    actor.finish()
    actor.look(upstream="10.0.0.2:5432", streaming=True, role=Role.STANDBY)
    return actor


def stop(revision: int = 11) -> Assignment:
    return order(Goal.BACKUP, revision=revision, may_grant=False, countdown=True)


def test_a_grant_is_given_to_the_primary_of_this_epoch() -> None:
    actor = backup()
    granted = actor.asked_by()
    assert granted.ttl_ms == TERMS.ttl_ms
    assert granted.received_bytes == 1000
    assert actor.report().promise_left_ms == grantor_window_ms(TERMS.ttl_ms)


@pytest.mark.parametrize("change", [{"epoch": 2}, {"handover": True}, {"illness": "ro"}])
def test_a_question_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    actor = backup()
    assert actor.asked_by(**change).ttl_ms == 0


def test_a_stranger_is_refused() -> None:
    assert backup().asked_by("ikn-1").ttl_ms == 0


def test_a_stop_is_persisted_before_it_is_reported_and_ends_the_granting() -> None:
    actor = backup()
    actor.asked_by(proven=False)
    actions = actor.order(stop())
    assert kinds(actions)[0] is Persist
    assert actor.report().stopped
    assert actor.asked_by().ttl_ms == 0


def test_a_promise_runs_out_after_the_grantors_window() -> None:
    actor = backup()
    actor.asked_by(proven=False)
    actor.order(stop())
    actor.pass_time(TERMS.ttl_ms)
    assert actor.report().promise_left_ms > 0
    actor.pass_time(50)
    assert actor.report().promise_left_ms == 0


def test_a_backup_that_hears_commits_refuses_to_stop_and_goes_on_granting() -> None:
    actor = backup()
    actor.asked_by()
    actor.order(stop())
    assert actor.report().refused_revision == 11
    assert not actor.report().stopped
    assert actor.asked_by().ttl_ms == TERMS.ttl_ms


def test_a_backup_that_hears_of_an_illness_refuses_to_stop() -> None:
    actor = backup()
    actor.asked_by(proven=False, illness="wraparound")
    actor.order(stop())
    assert actor.report().refused_revision == 11
    assert actor.report().primary_illness == "wraparound"


def test_a_refusal_ends_when_the_primary_falls_silent() -> None:
    actor = backup()
    actor.asked_by()
    actor.order(stop())
    actor.pass_time(silence_ms(TERMS) + 50)
    actor.order(stop())
    assert actor.report().stopped


def test_the_primarys_own_word_that_it_is_dead_ends_the_veto() -> None:
    actor = backup()
    actor.asked_by()
    actor.asked_by(proven=False, handover=True)
    actor.order(stop())
    assert actor.report().stopped


def test_an_unproven_question_is_granted_but_is_no_sign_of_life() -> None:
    actor = backup()
    assert actor.asked_by(proven=False).ttl_ms == TERMS.ttl_ms
    assert not actor.report().primary_heard


def test_falling_silent_is_reported_at_once() -> None:
    actor = backup()
    actor.asked_by()
    reports = [a for a in actor.pass_time(silence_ms(TERMS) + 50) if isinstance(a, SendReport)]
    assert [a for a in reports if not a.report.primary_heard]


def test_a_grantor_that_restarted_counts_as_having_just_granted() -> None:
    old = backup()
    actor = Actor(old.replica.durable, life="2-b").start()
    assert actor.report().promise_left_ms == grantor_window_ms(TERMS.ttl_ms)


def test_a_stop_survives_a_restart() -> None:
    old = backup()
    old.order(stop())
    actor = Actor(old.replica.durable, life="2-b").start()
    assert actor.asked_by().ttl_ms == 0
    assert actor.report().stopped


def test_a_disk_that_cannot_be_written_ends_the_granting_and_is_said() -> None:
    actor = backup()
    actor.feed(PersistFailed("no space left"))
    assert actor.asked_by().ttl_ms == 0
    assert "cannot be written" in actor.report().problem
    actor.feed(PersistWorks())
    assert actor.asked_by().ttl_ms == TERMS.ttl_ms


def test_an_empty_backup_is_seeded_and_then_follows() -> None:
    actor = Actor().start(Observation())
    actor.order(order(Goal.BACKUP))
    assert actor.job is JobKind.SEED
    actor.finish()
    actor.look(disk=Disk.DATA, system_identifier="7301")
    assert actor.job is JobKind.START_STANDBY


def test_a_seed_that_was_interrupted_is_made_anew() -> None:
    actor = Actor().start(Observation(disk=Disk.PARTIAL))
    actor.order(order(Goal.BACKUP))
    assert actor.job is JobKind.SEED


def test_a_backup_that_follows_somebody_else_is_turned_round() -> None:
    actor = backup()
    actor.look(upstream="10.9.9.9:5432")
    assert actor.job is JobKind.FOLLOW


def test_a_job_that_failed_is_begun_again_later_and_said() -> None:
    actor = Actor().start(Observation())
    actor.order(order(Goal.BACKUP))
    actor.finish(error="connection refused")
    assert actor.job is None
    assert "connection refused" in actor.report().problem
    actor.pass_time(300)
    assert actor.job is JobKind.SEED


def test_data_that_are_there_are_never_seeded_over() -> None:
    actor = Actor().start(DATA)
    actor.order(order(Goal.BACKUP))
    assert actor.job is JobKind.START_STANDBY
