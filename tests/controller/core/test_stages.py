"""The stage of a site in the centre: where it is not active, a copy takes nothing over."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from controller.core.actions import Answer, SendOrder, Swap
from controller.core.events import Configured, Kind, Requested, Tick
from controller.core.explanation.advice import advice
from controller.core.explanation.explain import explain
from controller.core.model import HeldFor, Phase
from controller.core.orders.assignments import assignment_for
from controller.core.phases import TABLE, first_row
from controller.core.site_model import Nation, Stage
from controller.core.step import found, step
from protocol.messages import Mode
from tests.controller.core.given import NOW, UID, A, B, Given, backup_report, primary_report, spec
from tests.controller.core.holding import unused
from tests.controller.core.rooming import ROOM_SITUATIONS, held_for_room

P = Phase
OUT_OF_USE = pytest.mark.parametrize("stage", [Stage.PLANNED, Stage.SUSPENDED])


def test_every_row_to_a_promotion_asks_whether_the_backups_site_is_in_use() -> None:
    for row in TABLE:
        if row.target is P.PROMOTING and row.source is not P.PROMOTING:
            assert "backup_in_use" in {condition.name for condition in row.when}, row.name


@OUT_OF_USE
def test_the_primary_stands_alone_and_says_why_and_both_grantors_go_on(stage: Stage) -> None:
    state, actions = step(unused(P.PROTECTED, stage).state(), Tick(), NOW)
    service = state.services[UID]
    assert service.record.phase is P.ALONE
    assert f"batam is {stage.value}" in service.record.because
    backup = assignment_for(service, B, 1)
    assert backup is not None
    assert backup.may_grant
    orders = [n for n, action in enumerate(actions) if isinstance(action, SendOrder)]
    assert next(n for n, a in enumerate(actions) if isinstance(a, Swap)) < min(orders)


def test_a_primary_that_proves_nothing_is_not_sent_alone() -> None:
    given = unused(P.PROTECTED).silent()
    assert first_row(given.view()) is None


@OUT_OF_USE
def test_it_is_armed_only_once_its_site_is_active(stage: Stage) -> None:
    given = unused(P.ALONE, stage).primary(primary_report(mode=Mode.ALONE)).backup(backup_report())
    assert first_row(given.view()) is None
    told = explain(given.service, NOW)
    assert not told.protected
    assert told.out_of_use == f"batam is {stage.value}"
    assert told.advice.startswith(f"batam is {stage.value}")
    assert told.as_planned is (stage is Stage.PLANNED)
    state, _ = step(given.state(), Configured("r", (spec(),), Nation()), NOW)
    assert state.services[UID].record.phase is P.ARMING


@pytest.mark.parametrize("held", [HeldFor.LOSS, HeldFor.CAPACITY])
def test_a_countdown_or_hold_does_not_end_in_a_promotion_onto_it(held: HeldFor) -> None:
    for given in (unused(P.COUNTDOWN).stopped(), unused(P.HELD).held(held).stopped()):
        row = first_row(given.view())
        assert row is None or row.target is not P.PROMOTING


def kept_by_a_veto(given: Given) -> Given:
    told = given.service.reports[B].report
    return given.backup(replace(told, veto="siti: a new disk", veto_left_ms=3_600_000))


def paused(given: Given) -> Given:
    return given.seen(record=replace(given.service.record, paused="siti: a drill"))


def staged(given: Given, stage: Stage) -> Given:
    replicas = (replace(r, stage=stage) if r.agent == B else r for r in given.service.spec.replicas)
    return given.seen(spec=replace(given.service.spec, replicas=tuple(replicas)))


KEPT: dict[str, Callable[[Given], Given]] = {
    "nothing": lambda given: given,
    "planned": lambda given: staged(given, Stage.PLANNED),
    "suspended": lambda given: staged(given, Stage.SUSPENDED),
    "veto": kept_by_a_veto,
    "paused": paused,
}


@pytest.mark.parametrize("kept", KEPT)
def test_who_is_held_for_capacity_is_told_that_room_helps_only_where_it_does(kept: str) -> None:
    cramped, roomy = (KEPT[kept](held_for_room(vcpu)) for vcpu in (10, 20))
    said = advice(cramped.view())
    row = first_row(roomy.view())
    goes_on = row is not None and row.target is P.PROMOTING
    assert goes_on is (kept == "nothing")
    assert said.startswith("of 10 vcpu") is goes_on
    assert ("After that: of 10 vcpu" in said) is not goes_on
    state, _ = step(KEPT[kept](ROOM_SITUATIONS["room_missing", P.COUNTDOWN]()).state(), Tick(), NOW)
    assert "if nothing else keeps batam-1 from taking over" in state.services[UID].record.because


@pytest.mark.parametrize("kept", ["planned", "suspended", "veto"])
def test_nobody_is_told_of_a_takeover_that_people_keep_from_coming(kept: str) -> None:
    for given in (Given(P.COUNTDOWN).stopped(), Given(P.HELD, held_for=HeldFor.LOSS).stopped()):
        said = advice(KEPT[kept](given).view())
        assert "takes over by itself" not in said
        assert "saling-agent release" in said if kept == "veto" else f"batam is {kept}" in said


def test_nobody_is_moved_to_a_suspended_site_and_the_refusal_says_what_would_make_it_possible(
) -> None:  # fmt: skip
    _, actions = step(
        unused(P.PROTECTED).silent().state(), Requested("r", Kind.FAILOVER, UID, "siti"), NOW
    )
    told = next(action for action in actions if isinstance(action, Answer))
    assert not told.accepted
    assert any("`state: active` in the configuration" in text for text in told.unmet)


def test_a_suspended_site_may_be_left_and_its_primary_is_warned_of() -> None:
    given = Given(P.PROTECTED)
    replicas = (replace(r, stage=Stage.SUSPENDED) if r.agent == A else r
                for r in given.spec.replicas)  # fmt: skip
    given.seen(spec=replace(given.spec, replicas=tuple(replicas)))
    told = explain(given.service, NOW)
    assert told.protected
    assert any("`saling evacuate jabodetabek`" in text for text in told.warnings)
    _, actions = step(given.state(), Requested("r", Kind.SWITCHOVER, UID, "siti"), NOW)
    assert next(a for a in actions if isinstance(a, Answer)).accepted


def test_a_new_service_with_a_planned_backup_says_so() -> None:
    first = found(unused(P.ALONE, Stage.PLANNED).service.spec, 1)
    assert (first.primary, first.backup) == (A, B)
    assert "(batam is planned)" in first.because
