"""A proof of the primary may come late: it counts for the revision that it names."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from controller.core.events import Configured, Tick
from controller.core.model import Phase, Protection, ServiceSpec, State
from controller.core.phases import first_row
from controller.core.site_model import Nation, Stage
from controller.core.step import step
from tests.controller.core.given import NOW, UID, B, Given, asked, backup_report, said, spec

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


SYNC = replace(spec(), protection=Protection.SYNC)
SUSPENDED = replace(
    spec(),
    replicas=tuple(
        replace(r, stage=Stage.SUSPENDED) if r.agent == B else r for r in spec().replicas
    ),
)
VETO = {"veto": "siti: a new disk", "veto_left_ms": 3_600_000}


def phase_of(state: State) -> Phase:
    return state.services[UID].record.phase


def dying() -> State:
    """The primary died a moment ago, and nothing shows it yet but to its backup."""
    given = Given(P.PROTECTED).primary(None).seen(proven_ms=NOW - 700, entered_ms=NOW - 60_000)
    return given.backup(backup_report(primary_heard=False, streaming=False)).state()


def read_anew(state: State, declared: ServiceSpec, now_ms: int) -> State:
    return step(state, Configured("r1", (declared,), Nation()), now_ms)[0]


def two_minutes_on(state: State, **told: object) -> set[Phase]:
    """The phases that the service is in, as its backup alone goes on to speak."""
    seen = set()
    for now_ms in range(NOW, NOW + 120_000, 200):
        revision = state.services[UID].record.revision
        usual = {"revision": revision, "primary_heard": False, "streaming": False}
        state, _ = step(state, said(B, backup_report(**(usual | told))), now_ms)
        state, _ = step(state, Tick(), now_ms)
        seen.add(phase_of(state))
    return seen


def test_a_primary_that_dies_as_its_protection_is_declared_otherwise_is_taken_over() -> None:
    seen = two_minutes_on(read_anew(dying(), SYNC, NOW))
    assert P.ALONE not in seen
    assert P.COUNTDOWN in seen


def test_a_primary_that_dies_as_its_backup_is_suspended_is_taken_over_once_that_is_active() -> None:
    suspended = read_anew(dying(), SUSPENDED, NOW)
    assert phase_of(suspended) is P.PROTECTED
    seen = two_minutes_on(read_anew(suspended, spec(), NOW))
    assert P.ALONE not in seen
    assert P.COUNTDOWN in seen


def test_a_primary_that_dies_as_its_backup_vetoes_does_not_stand_alone() -> None:
    state = dying()
    assert two_minutes_on(state, **VETO) == {P.PROTECTED}


@pytest.mark.parametrize("declared", [SYNC, SUSPENDED])
def test_a_primary_that_lives_stands_alone_at_its_next_proof(declared: ServiceSpec) -> None:
    state = read_anew(Given(P.PROTECTED).state(), declared, NOW)
    assert phase_of(state) is P.PROTECTED
    state, _ = step(state, asked(), NOW + 100)
    assert phase_of(state) is P.ALONE


def test_a_primary_that_lives_stands_alone_at_its_next_proof_after_a_veto() -> None:
    state, _ = step(Given(P.PROTECTED).state(), said(B, backup_report(**VETO)), NOW)
    assert phase_of(state) is P.PROTECTED
    state, _ = step(state, asked(), NOW + 100)
    assert phase_of(state) is P.ALONE


def test_a_reload_that_declares_nothing_otherwise_asks_for_no_new_proof() -> None:
    state = read_anew(Given(P.PROTECTED).state(), spec(), NOW)
    assert state.services[UID].declared_ms == -1
