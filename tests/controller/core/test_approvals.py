"""Leave to lose data: which loss, whose leave, once, and for how long."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from controller.core.actions import Answer, Swap
from controller.core.events import Kind, Requested, Tick
from controller.core.explanation.explain import explain
from controller.core.gates import approvals
from controller.core.model import Approval, HeldFor, LastWord, Phase, Record, State
from controller.core.moment import loss
from controller.core.moment.view import APPROVAL_GOOD_FOR_MS
from controller.core.step import begin, step
from tests.controller.core.given import NOW, UID, B, Given, asked, backup_report, said, spec

P = Phase
WORD = LastWord(10**9, 0, 3000, behind_ms=2000)
LOST_BYTES, LOST_MS = 10**9 - 5000, 5000


def held(tier: str = "rendah") -> Given:
    """HELD: more would be lost than is accepted, and nobody can be writing."""
    given = Given(P.HELD, held_for=HeldFor.LOSS, last_word=WORD).stopped()
    return given.seen(spec=replace(given.spec, tier=tier))


def approve(
    state: State,
    by: str = "siti",
    now_ms: int = NOW,
    epoch: int = 1,
    loss_bytes: int = LOST_BYTES,
    loss_ms: int = LOST_MS,
) -> tuple[State, Answer, list[Swap]]:
    request = Requested("r1", Kind.APPROVE, UID, by, "why", epoch, loss_bytes, loss_ms=loss_ms)
    state, actions = step(state, request, now_ms)
    answer = actions[-1]
    assert isinstance(answer, Answer)
    return state, answer, [action for action in actions if isinstance(action, Swap)]


def record_of(state: State) -> Record:
    return state.services[UID].record


def test_an_approval_names_the_loss_in_bytes_and_as_a_time() -> None:
    _, answer, _ = approve(held().state())
    assert answer.accepted


@pytest.mark.parametrize(
    "stale", [(1, LOST_BYTES - 1, LOST_MS), (1, LOST_BYTES, LOST_MS - 1), (2, LOST_BYTES, LOST_MS)]
)
def test_a_stale_figure_or_epoch_is_refused_with_the_fresh_ones(
    stale: tuple[int, int, int],
) -> None:
    _, answer, swaps = approve(held().state(), "siti", NOW, *stale)
    assert not answer.accepted
    assert not answer.conflict
    assert swaps == []
    told = f"an approval must name epoch 1 and a loss of at least {LOST_BYTES} bytes and 5.0 s"
    assert told in answer.unmet


def test_an_approval_is_used_once() -> None:
    state, _, _ = approve(held().state())
    state, answer, swaps = approve(state, by="budi")
    assert (answer.accepted, swaps) == (False, [])
    assert record_of(state).phase is P.COUNTDOWN
    stopped = backup_report(revision=11, stopped=True, promise_left_ms=0, primary_heard=False)
    state, _ = step(state, said(B, stopped), NOW + 100)
    assert record_of(state).phase is P.PROMOTING
    assert record_of(state).approval is None
    _, answer, _ = approve(state)
    assert not answer.accepted


def test_two_different_people_release_a_service_of_the_highest_tier() -> None:
    state, answer, swaps = approve(held("strategis").state())
    assert answer.accepted
    assert "somebody else must say the same" in answer.text
    assert answer.operation_id == ""
    assert (record_of(state).phase, swaps[0].transition.by) == (P.HELD, "siti")
    assert explain(state.services[UID], NOW).approval is not None

    state, answer, swaps = approve(state, by="  SITI", now_ms=NOW + 1000)
    assert not answer.accepted
    assert answer.unmet == (
        "it takes two different people to accept a loss of tier strategis; so far siti did",
    )
    state, answer, _ = approve(state, by="budi", now_ms=NOW + 2000, loss_bytes=LOST_BYTES + 9)
    assert answer.accepted
    approval = record_of(state).approval
    assert approval == Approval("siti", 1, LOST_BYTES, "why", LOST_MS, "budi")


def test_the_first_of_two_must_cover_the_loss_when_the_second_comes() -> None:
    state, _, _ = approve(held("strategis").state())
    more = replace(record_of(state), last_word=replace(WORD, position_bytes=2 * 10**9))
    state = State(1, "g", {UID: replace(state.services[UID], record=more)})
    state, answer, _ = approve(state, by="budi", loss_bytes=2 * 10**9)
    assert answer.accepted
    assert record_of(state).phase is P.HELD
    approval = record_of(state).approval
    assert approval is not None
    assert approval.by == "budi"


def test_the_first_approval_of_two_runs_out_and_says_so() -> None:
    state, _, _ = approve(held("strategis").state())
    state, actions = step(state, Tick(), NOW + APPROVAL_GOOD_FOR_MS + 1)
    swap = next(action for action in actions if isinstance(action, Swap))
    assert swap.transition.because == ("the approval by siti ended unused, for its 10 min are over")
    assert record_of(state).approval is None
    assert record_of(state).because == held().service.record.because


def test_an_approval_ends_with_the_controller_that_took_it_and_says_so() -> None:
    approved = Given(P.COUNTDOWN, approval=Approval("siti", 1, 10**9)).service.record
    state, actions = step(begin([spec()], {UID: approved}, 2, "g", NOW), Tick(), NOW)
    swap = next(action for action in actions if isinstance(action, Swap))
    assert swap.transition.because == (
        "the approval by siti ended unused, for the controller was started anew"
    )
    assert record_of(state).approval is None


def test_an_accepted_time_that_is_too_short_does_not_cover_the_loss() -> None:
    approval = Approval("siti", 1, 10**9, "", LOST_MS - 1)
    given = Given(P.COUNTDOWN, approval=approval, last_word=WORD).stopped()
    state, _ = step(given.seen(approved_ms=NOW).state(), Tick(), NOW)
    assert record_of(state).phase is P.HELD


def test_what_is_lost_as_a_time_counts_from_what_the_backup_has_for_certain() -> None:
    """The backup stays at 5000 while the primary goes on; it had all of it 400 ms before NOW."""
    given = Given(P.PROTECTED).primary(None).seen(proven_ms=NOW - 400)
    state, _ = step(given.state(), Tick(), NOW - 400)
    for n in range(1, 4):
        state, _ = step(state, asked(position_bytes=5000 + n, nonce=f"n{n}"), NOW - 400 + n * 100)
    service = state.services[UID]
    assert service.caught_up_ms == NOW - 400
    told = explain(replace(service, proven_rate_bytes_s=1000), NOW + 200)
    assert (told.loss_bytes, told.loss_ms) == (3 + 300, 600)


def test_marks_stay_few_however_long_the_backup_is_behind() -> None:
    service = replace(Given(P.PROTECTED).service, proven_ms=0)
    for at_ms in range(0, 4 * 3_600_000, 1000):
        reports = {B: service.reports[B]}
        service = replace(
            service, proven_ms=at_ms, proven_position_bytes=6000 + at_ms, reports=reports
        )
        service = loss.marked(service)
    assert len(service.marks) <= loss.MARKS_AT_MOST
    assert service.marks[0].heard_ms == 0


def test_one_person_is_the_same_however_the_name_is_written() -> None:
    assert approvals.same_person("Siti  Aminah", "siti aminah ")
    assert not approvals.same_person("siti", "budi")


def test_what_is_typed_from_the_advice_is_enough() -> None:
    advice = explain(held("strategis").service, NOW).advice
    assert f"--loss-bytes {LOST_BYTES} --loss-seconds 5 " in advice
    assert "by two different people" in advice
