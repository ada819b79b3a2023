"""An agent that cannot write its promises is no backup, and cannot be moved away from.

Nor is one whose host lacks a layer of the fence that it requires: it could be no primary.
"""

from __future__ import annotations

from msgspec.structs import replace

from controller.core.conditions.pair import ASYNC_PATIENCE_MS
from controller.core.events import Kind
from controller.core.explanation.explain import explain
from controller.core.model import Phase
from controller.core.moment.detector import watched
from controller.core.moment.view import View
from controller.core.phases import first_row
from protocol.messages import Role
from tests.controller.core.given import NOW, A, B, Given, backup_report, primary_report

P = Phase
FULL = "the state directory cannot be written"


def forgetful(phase: Phase) -> Given:
    given = Given(phase)
    given.backup(backup_report(cannot_promise=True, problem=FULL))
    given.service = watched(given.view()).service
    return given


def test_a_backup_that_cannot_promise_is_given_up_after_the_patience_for_one_that_is_heard() -> (
    None
):
    given = forgetful(P.PROTECTED)
    assert first_row(given.view()) is None
    later = View(replace(given.service, ailing_since_ms=NOW - ASYNC_PATIENCE_MS), NOW)
    row = first_row(later)
    assert row is not None
    assert (row.name, row.target) == ("backup_lost", P.ALONE)


def test_a_backup_that_cannot_promise_is_not_armed() -> None:
    given = forgetful(P.ALONE)
    assert given.service.following_since_ms == -1
    row = first_row(given.view())
    assert row is None or row.target is not P.ARMING


def test_no_countdown_begins_for_a_backup_that_could_not_take_over() -> None:
    given = Given(P.PROTECTED).silent()
    row = first_row(given.view())
    assert row is not None
    assert row.target is P.COUNTDOWN
    given.backup(backup_report(primary_heard=False, cannot_promise=True))
    row = first_row(given.view())
    assert row is None or row.target is not P.COUNTDOWN


def test_no_service_is_moved_away_from_a_primary_that_could_not_keep_its_release() -> None:
    given = Given(P.PROTECTED).asked(Kind.SWITCHOVER)
    assert first_row(given.view()) is not None
    given.primary(primary_report(cannot_promise=True, problem=FULL))
    row = first_row(given.view())
    assert row is None or row.target is not P.DRAINING


def test_who_waits_for_such_a_backup_is_told_what_to_mend() -> None:
    for phase in (P.PROTECTED, P.COUNTDOWN):
        said = explain(forgetful(phase).service, NOW).advice
        assert f"{B} cannot take over" in said
        assert FULL in said
        assert A not in said


UNFENCED = "nftables: CAP_NET_ADMIN is missing"


def test_a_backup_without_its_fence_is_as_good_as_none() -> None:
    given = Given(P.ALONE)
    given.backup(backup_report(fence_missing=UNFENCED))
    given.service = watched(given.view()).service
    row = first_row(given.view())
    assert row is None or row.target is not P.ARMING
    given = Given(P.PROTECTED).silent()
    given.backup(backup_report(primary_heard=False, fence_missing=UNFENCED))
    row = first_row(given.view())
    assert row is None or row.target is not P.COUNTDOWN
    given = Given(P.PROTECTED)
    given.backup(backup_report(fence_missing=UNFENCED))
    said = explain(given.service, NOW).advice
    assert f"{B} cannot take over" in said
    assert UNFENCED in said


def test_nobody_is_promoted_who_lacks_a_required_fence() -> None:
    given = Given(P.DRAINING)
    given.primary(primary_report(released=True, role=Role.DOWN))
    given.backup(backup_report(primary_heard=False, fence_missing=UNFENCED))
    row = first_row(given.view())
    assert row is None or row.target is not P.PROMOTING
