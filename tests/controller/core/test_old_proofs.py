"""A proof of the primary may come late: it counts for the revision that it names."""

from __future__ import annotations

from controller.core.model import Phase
from controller.core.phases import first_row
from controller.core.step import step
from tests.controller.core.given import NOW, UID, Given, asked, backup_report

P = Phase


def test_a_proof_counts_for_the_revision_that_it_names() -> None:
    state, _ = step(Given(P.PROTECTED).state(), asked(revision=9), NOW)
    assert state.services[UID].proven_revision == 9
    state, _ = step(state, asked(), NOW + 1)
    assert state.services[UID].proven_revision == 10


def test_no_primary_stands_alone_on_a_proof_of_before_the_last_change() -> None:
    given = Given(P.PROTECTED).backup(backup_report(), 9000)
    lost = first_row(given.view())
    assert lost is not None
    assert lost.name == "backup_lost"
    assert first_row(given.seen(proven_revision=9).view()) is None


def test_a_primary_that_proves_after_the_change_is_left_alone_when_its_backup_is_lost() -> None:
    given = Given(P.PROTECTED).backup(backup_report(), 9000).seen(proven_revision=9)
    state, _ = step(given.state(), asked(), NOW)
    assert state.services[UID].record.phase is P.ALONE
