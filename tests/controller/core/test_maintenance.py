"""The planned absence of a backup: announced, noticed, over by itself, reminded of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from controller.core.actions import Action, Answer, SendGrant, SendOrder, Swap
from controller.core.events import Event, Kind, Requested, Tick
from controller.core.explanation.explain import explain
from controller.core.gates.maintenance import left, span
from controller.core.invariants import InvariantBroken, check_change
from controller.core.model import HeldFor, Maintenance, Phase, Record, State
from controller.core.orders.assignments import assignment_for, controller_grants
from controller.core.phases import TABLE, first_row
from controller.core.step import begin, step
from protocol.messages import Mode, Right, Role
from tests.controller.core.given import (
    NOW,
    UID,
    A,
    B,
    Given,
    asked,
    backup_report,
    primary_report,
    said,
)

P = Phase
HOUR_MS = 3_600_000
SETTLE_MS = 10_000
"""Five leases of the service."""

BEGIN: dict[str, Any] = {"reason": "kernel patches", "for_ms": HOUR_MS}
ANNOUNCED = Maintenance(B, "siti", "kernel patches", HOUR_MS)


def answer(actions: list[Action]) -> Answer:
    return next(action for action in actions if isinstance(action, Answer))


def ask(given: Given, kind: Kind, **changes: Any) -> tuple[State, list[Action]]:
    return step(given.state(), replace(Requested("r", kind, UID, "siti"), **changes), NOW)


class Story:
    """A service whose backup is in maintenance, told event by event."""

    def __init__(self, **changes: Any) -> None:
        self.now_ms = NOW
        self.state, self.actions = ask(Given(P.PROTECTED), Kind.BEGIN_MAINTENANCE, **BEGIN)
        self.state = self._changed(**changes) if changes else self.state
        self.swaps: list[Swap] = []

    def _changed(self, **changes: Any) -> State:
        service = self.state.services[UID]
        announced = replace(self.maintenance, **changes)
        record = replace(service.record, maintenance=announced)
        return replace(self.state, services={UID: replace(service, record=record)})

    @property
    def record(self) -> Record:
        return self.state.services[UID].record

    @property
    def maintenance(self) -> Maintenance:
        assert self.record.maintenance is not None
        return self.record.maintenance

    def feed(self, event: Event) -> None:
        self.state, actions = step(self.state, event, self.now_ms)
        self.swaps += [action for action in actions if isinstance(action, Swap)]

    def live(self, for_ms: int, backup: bool, until: Callable[[], bool] | None = None) -> Story:
        """Let the primary write for a while, with its backup or without."""
        end_ms = self.now_ms + for_ms
        while self.now_ms < end_ms and not (until and until()):
            self.now_ms += 500
            revision = self.record.revision
            mode = Mode.LEASED if self.record.phase in (P.ARMING, P.PROTECTED) else Mode.ALONE
            self.feed(said(A, primary_report(revision=revision, mode=mode)))
            self.feed(asked(revision=revision, nonce=str(self.now_ms), position_bytes=5000))
            if backup:
                self.feed(said(B, backup_report(revision=revision)))
            self.feed(Tick())
        return self

    def sleep(self, for_ms: int) -> Story:
        """Time passes at once; nobody is heard meanwhile."""
        self.now_ms += for_ms
        return self

    def restart(self) -> Story:
        """Another life of the controller begins to lead."""
        service = self.state.services[UID]
        self.state = begin([service.spec], {UID: service.record}, 2, "g", self.now_ms)
        return self

    def rows(self) -> list[str]:
        return [swap.transition.because for swap in self.swaps]


def test_a_protected_service_stands_alone_at_once_and_its_record_says_by_whom_and_why() -> None:
    story = Story()
    assert story.record.phase is P.ALONE
    assert story.record.maintenance == ANNOUNCED
    assert "was announced by siti: kernel patches" in story.record.because
    told = answer(story.actions)
    assert told.accepted
    assert "nobody can take over paspor" in told.text
    assert f"what it commits stands only at {A}" in told.text


def test_going_alone_both_grantors_go_on_granting_and_the_backup_is_not_told_to_stop() -> None:
    story = Story()
    orders = [a.assignment for a in story.actions if isinstance(a, SendOrder)]
    assert {order.right for order in orders} == {Right.ALONE}
    backup = assignment_for(story.state.services[UID], B, 1)
    assert backup is not None
    assert backup.may_grant
    assert controller_grants(story.record)
    # The primary has not taken the new revision yet, and still asks under the old one.
    _, actions = step(story.state, asked(revision=10), NOW + 10)
    (grant,) = [action for action in actions if isinstance(action, SendGrant)]
    assert grant.grants[0].ttl_ms > 0


def test_a_sync_service_is_relaxed_only_by_an_order_of_the_stored_alone() -> None:
    given = Given(P.PROTECTED).sync()
    state, actions = ask(given, Kind.BEGIN_MAINTENANCE, **BEGIN)
    swap = next(i for i, action in enumerate(actions) if isinstance(action, Swap))
    orders = [i for i, action in enumerate(actions) if isinstance(action, SendOrder)]
    assert swap < min(orders)
    primary = assignment_for(state.services[UID], A, 1)
    assert primary is not None
    assert not primary.sync


def test_no_row_of_a_maintenance_leads_anywhere_but_to_alone() -> None:
    rows = [row for row in TABLE if row.name.startswith("maintenance")]
    assert {row.target for row in rows} == {P.ALONE}
    assert {row.source for row in rows} == {P.PROTECTED, P.ARMING, P.ALONE}


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not P.ALONE])
def test_a_record_in_maintenance_outside_alone_breaks_an_invariant(phase: Phase) -> None:
    old = Given(P.ALONE, maintenance=ANNOUNCED).service.record
    with pytest.raises(InvariantBroken):
        check_change(old, replace(old, revision=old.revision + 1, phase=phase))


def test_a_maintenance_of_the_primary_breaks_an_invariant() -> None:
    old = Given(P.ALONE).service.record
    wrong = replace(ANNOUNCED, agent=A)
    with pytest.raises(InvariantBroken):
        check_change(old, replace(old, revision=old.revision + 1, maintenance=wrong))


def test_where_the_primary_stands_it_is_refused_and_says_to_switch_over_first() -> None:
    for phase in (P.PROTECTED, P.ALONE):
        state, actions = ask(Given(phase), Kind.BEGIN_MAINTENANCE, agent=A, **BEGIN)
        told = answer(actions)
        assert not told.accepted
        (unmet,) = told.unmet
        assert unmet == (
            f"{A} holds the primary of paspor: switch over first, with `saling switchover paspor`"
        )
        assert state.services[UID].record.revision == 10


def test_an_agent_without_a_copy_is_refused_by_name() -> None:
    _, actions = ask(Given(P.PROTECTED), Kind.BEGIN_MAINTENANCE, agent="ikn-1", **BEGIN)
    assert answer(actions).unmet == (f"ikn-1 holds no copy of paspor, whose backup is {B}",)


def test_a_service_without_a_backup_is_refused() -> None:
    _, actions = ask(Given(P.ALONE, backup=""), Kind.BEGIN_MAINTENANCE, **BEGIN)
    assert answer(actions).unmet == ("paspor has no backup",)


def test_it_is_refused_while_the_primary_is_silent_for_then_the_backup_is_needed() -> None:
    given = Given(P.PROTECTED).silent()
    _, actions = ask(given, Kind.BEGIN_MAINTENANCE, **BEGIN)
    assert not answer(actions).accepted
    assert f"{A} proves no commit to the controller" in answer(actions).unmet


@pytest.mark.parametrize("phase", [P.DRAINING, P.COUNTDOWN, P.PROMOTING, P.ROUTING, P.HELD])
def test_it_is_refused_while_an_operation_is_under_way_or_the_service_is_held(
    phase: Phase,
) -> None:
    given = Given(phase, because="an operator moves it")
    state, actions = ask(given, Kind.BEGIN_MAINTENANCE, **BEGIN)
    told = answer(actions)
    assert not told.accepted
    assert f"paspor is in {phase.value}: an operator moves it" in told.text
    assert state.services[UID].record.maintenance is None


@pytest.mark.parametrize("kind", [Kind.SWITCHOVER, Kind.FAILOVER])
def test_a_move_to_a_backup_in_maintenance_is_refused_with_the_reason(kind: Kind) -> None:
    given = Given(P.ALONE, maintenance=ANNOUNCED).seen(maintenance_ms=NOW - 60_000)
    _, actions = ask(given, kind)
    told = answer(actions)
    assert not told.accepted
    assert any(
        f"{B} is in maintenance (siti: kernel patches; 59 min left)" in x for x in told.unmet
    )


def test_a_dry_run_says_the_same_and_changes_nothing() -> None:
    state, actions = ask(Given(P.PROTECTED), Kind.BEGIN_MAINTENANCE, dry_run=True, **BEGIN)
    assert "nobody can take over paspor" in answer(actions).text
    assert state.services[UID].record.phase is P.PROTECTED
    assert not [action for action in actions if isinstance(action, Swap)]


def test_the_pair_is_not_armed_while_it_lasts_however_closely_the_backup_follows() -> None:
    story = Story().live(60_000, backup=True)
    assert story.record.phase is P.ALONE
    assert story.record.maintenance == ANNOUNCED
    assert story.swaps == []


def test_a_backup_that_was_away_and_is_back_ends_it_and_the_pair_is_armed() -> None:
    story = Story().live(2000, backup=True).live(20_000, backup=False)
    assert story.maintenance.away
    assert f"{B} is away for its maintenance" in story.record.because
    story.live(SETTLE_MS - 1000, backup=True)
    assert story.record.maintenance is not None
    story.live(20_000, backup=True)
    assert story.record.maintenance is None
    assert story.record.phase is P.PROTECTED
    assert any("is back from its maintenance and follows" in because for because in story.rows())


def test_a_short_restart_of_the_engine_does_not_end_it() -> None:
    story = Story().live(5000, backup=True).live(1000, backup=False)
    story.live(60_000, backup=True)
    assert not story.maintenance.away


def test_a_backup_that_comes_and_goes_is_not_back() -> None:
    story = Story().live(10_000, backup=False)
    for _ in range(5):
        story.live(SETTLE_MS // 2, backup=True).live(5000, backup=False)
    assert story.maintenance.away


def test_a_controller_that_hears_nobody_does_not_take_the_backup_for_away() -> None:
    story = Story().live(5000, backup=True).sleep(60_000)
    story.feed(Tick())
    assert not story.maintenance.away


def test_one_that_was_never_away_ends_when_its_time_is_over() -> None:
    story = Story(for_ms=60_000).live(50_000, backup=True)
    assert story.record.maintenance is not None
    story.live(20_000, backup=True)
    assert story.record.maintenance is None
    assert story.record.phase is P.PROTECTED
    assert any("are over and it follows" in because for because in story.rows())


def test_an_overdue_one_says_so_once_and_ends_when_the_backup_is_back() -> None:
    story = Story(for_ms=60_000).live(120_000, backup=False)
    told = [because for because in story.rows() if "is overdue" in because]
    assert len(told) == 1
    shown = explain(story.state.services[UID], story.now_ms)
    assert shown.maintenance is not None
    assert (shown.maintenance.as_announced, shown.maintenance.left_ms) == (False, -60_000)
    assert "is overdue by 60 s: bring batam-1 back" in shown.advice
    story.live(30_000, backup=True)
    assert story.record.phase is P.PROTECTED


def test_an_operator_ends_it_and_the_usual_rows_arm_the_pair() -> None:
    story = Story().live(5000, backup=True)
    story.feed(Requested("r2", Kind.END_MAINTENANCE, UID, "sri", "no patches today"))
    assert any("was ended by sri: no patches today" in because for because in story.rows())
    story.live(10_000, backup=True)
    assert story.record.phase is P.PROTECTED


def test_ending_what_was_not_announced_is_refused_and_changes_nothing() -> None:
    state, actions = ask(Given(P.ALONE), Kind.END_MAINTENANCE)
    assert answer(actions).unmet == (f"no maintenance of {B} is announced",)
    assert state.services[UID].record.revision == 10


def test_announced_once_more_it_counts_anew_and_does_not_forget_that_the_backup_went() -> None:
    story = Story().live(30_000, backup=False)
    story.feed(Requested("r2", Kind.BEGIN_MAINTENANCE, UID, "sri", "a new disk", for_ms=600_000))
    assert story.maintenance == Maintenance(B, "sri", "a new disk", 600_000, away=True)
    shown = explain(story.state.services[UID], story.now_ms)
    assert shown.maintenance is not None
    assert shown.maintenance.left_ms == 600_000


def test_a_controller_that_restarts_forgets_a_quarter_of_the_time_at_most() -> None:
    story = Story(for_ms=400_000).live(199_000, backup=False).restart()
    shown = explain(story.state.services[UID], story.now_ms)
    assert shown.maintenance is not None
    assert 200_000 <= shown.maintenance.left_ms <= 300_000
    story.live(310_000, backup=False).restart()
    shown = explain(story.state.services[UID], story.now_ms)
    assert shown.maintenance is not None
    assert shown.maintenance.left_ms <= 0


def test_a_restart_of_the_controller_does_not_forget_that_the_backup_went() -> None:
    story = Story().live(30_000, backup=False).restart().live(30_000, backup=True)
    assert story.record.phase is P.PROTECTED


def test_a_maintenance_of_an_older_copy_of_the_store_is_announced_no_more() -> None:
    given = Given(P.ALONE, maintenance=ANNOUNCED).seen(heard_revision=11)
    state, _ = step(given.state(), Tick(), NOW)
    record = state.services[UID].record
    assert (record.phase, record.held_for) == (P.HELD, HeldFor.RESTORED)
    assert record.maintenance is None


def test_when_the_primary_dies_meanwhile_nobody_is_promoted_and_it_is_as_announced_no_more() -> (
    None
):
    given = Given(P.ALONE, maintenance=ANNOUNCED).silent(for_ms=60_000)
    given.seen(maintenance_ms=NOW - 60_000)
    shown = explain(given.service, NOW)
    assert shown.maintenance is not None
    assert not shown.maintenance.as_announced
    assert "bring its site back" in shown.advice
    row = first_row(given.view())
    assert row is None or row.target is P.ALONE


def test_the_backup_may_be_stopped_once_the_primary_knows_that_it_stands_alone() -> None:
    story = Story()
    shown = explain(story.state.services[UID], story.now_ms)
    assert shown.maintenance is not None
    assert not shown.maintenance.may_stop
    story.feed(said(A, primary_report(revision=11, role=Role.PRIMARY, mode=Mode.ALONE)))
    shown = explain(story.state.services[UID], story.now_ms)
    assert shown.maintenance is not None
    assert shown.maintenance.may_stop


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [
        (0, "0 s"),
        (45_000, "45 s"),
        (119_999, "119 s"),
        (40 * 60_000, "40 min"),
        (2 * HOUR_MS, "2 h"),
        (2 * HOUR_MS + 5 * 60_000, "2 h 5 min"),
        (49 * HOUR_MS, "2 d 1 h"),
        (72 * HOUR_MS, "3 d"),
    ],
)
def test_a_time_is_told_as_people_plan_it(duration_ms: int, text: str) -> None:
    assert span(duration_ms) == text
    assert left(-duration_ms) == f"overdue by {text}"
