"""A backup that does not match its primary is not armed, and takes over all the same."""

from __future__ import annotations

from controller.core.events import Kind
from controller.core.model import Phase
from controller.core.phases import first_row
from protocol.messages import Mode
from tests.controller.core.given import Given, backup_report, primary_report

P = Phase


def test_an_unfit_backup_is_not_armed() -> None:
    given = Given(P.ALONE).primary(primary_report(mode=Mode.ALONE))
    row = first_row(given.view())
    assert row is not None and row.name == "backup_ready"
    assert first_row(given.backup(backup_report(unfit="max_connections")).view()) is None


def test_a_backup_that_turns_out_unfit_ends_the_arming_even_after_the_acknowledgement() -> None:
    told = backup_report(unfit="max_connections: 30 here, 100 at the upstream")
    row = first_row(Given(P.ARMING).primary(primary_report(mode=Mode.LEASED)).backup(told).view())
    assert row is not None
    assert (row.name, row.target) == ("backup_unfit_in_arming", P.ALONE)


def test_a_backup_that_becomes_unfit_keeps_its_service_protected_but_is_moved_to_by_nobody() -> (
    None
):
    given = Given(P.PROTECTED).backup(backup_report(unfit="max_connections"))
    assert first_row(given.view()) is None
    assert first_row(given.asked(Kind.SWITCHOVER).view()) is None


def test_when_the_primary_dies_an_unfit_backup_is_better_than_none() -> None:
    told = backup_report(primary_heard=False, streaming=False, unfit="max_connections")
    row = first_row(Given(P.PROTECTED).silent().backup(told).view())
    assert row is not None and row.target is P.COUNTDOWN
    told = backup_report(stopped=True, promise_left_ms=0, primary_heard=False, unfit="x")
    row = first_row(Given(P.COUNTDOWN).stopped().backup(told).view())
    assert row is not None and row.target is P.PROMOTING
