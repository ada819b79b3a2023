"""What an operator is told: who asked for what, and what would really make it possible."""

from __future__ import annotations

import pytest

from controller.core.actions import Answer, Swap
from controller.core.events import Kind
from controller.core.explanation.explain import explain
from controller.core.model import HeldFor, Maintenance, Operation, Phase
from controller.core.step import step
from protocol.messages import Mode, Role
from tests.controller.core.given import NOW, A, B, Given, primary_report

P = Phase
AWAY = Maintenance(B, "siti", "kernel patches", 3_600_000)
MOVE = Operation("paspor-9", "switchover", "budi", "", A, B)


def asking(given: Given, kind: Kind, **changes: object) -> tuple[Answer, list[Swap]]:
    request = given.asked(kind, **changes).request
    assert request is not None
    _, actions = step(given.state(), request, NOW)
    answer = actions[-1]
    assert isinstance(answer, Answer)
    return answer, [action for action in actions if isinstance(action, Swap)]


def test_the_history_names_who_accepted_a_loss_and_why() -> None:
    given = Given(P.HELD).held(HeldFor.LOSS).stopped()
    answer, swaps = asking(
        given, Kind.APPROVE, epoch=1, loss_bytes=10**9, loss_ms=0, reason="accept it"
    )
    assert answer.accepted
    told = swaps[0].transition
    assert (told.by, told.reason) == ("siti", "accept it")
    assert "accepted by siti: accept it" in told.because
    assert {swap.transition.by for swap in swaps[1:]} <= {""}


def test_the_history_names_who_accepted_what_the_agents_know_and_why() -> None:
    given = Given(P.HELD).held(HeldFor.RESTORED)
    answer, swaps = asking(given, Kind.APPROVE, epoch=1, reason="the disk was lost")
    assert answer.accepted
    assert "accepted by siti: the disk was lost" in swaps[0].transition.because


def test_a_resume_of_what_is_not_paused_says_so_and_changes_nothing() -> None:
    answer, swaps = asking(Given(P.PROTECTED), Kind.RESUME)
    assert answer.accepted
    assert "is on already" in answer.text
    assert swaps == []


@pytest.mark.parametrize("kind", [Kind.SWITCHOVER, Kind.FAILOVER])
def test_a_move_while_another_is_under_way_is_a_conflict_that_names_it(kind: Kind) -> None:
    answer, swaps = asking(Given(P.DRAINING, operation=MOVE), kind)
    assert (answer.accepted, answer.conflict, swaps) == (False, True, [])
    assert "switchover paspor-9 of paspor, by budi, is under way" in answer.text


def test_a_failover_from_a_lost_primary_that_stood_alone_asks_for_its_site_alone() -> None:
    given = Given(P.ALONE, maintenance=AWAY).silent(for_ms=60_000)
    answer, _ = asking(given, Kind.FAILOVER)
    assert len(answer.unmet) == 2
    assert "bring its site back" in answer.unmet[0]
    assert "only if its host is off for good" in answer.unmet[1]
    assert "PROTECTED" not in answer.unmet[0]


def test_a_failover_from_a_dead_engine_that_stood_alone_asks_to_mend_it() -> None:
    dead = primary_report(role=Role.DOWN, writable=False, mode=Mode.ALONE, problem="no space")
    given = Given(P.ALONE, maintenance=AWAY).primary(dead)
    given.seen(proven_ms=NOW - 60_000)
    answer, _ = asking(given, Kind.FAILOVER)
    assert len(answer.unmet) == 2
    assert "mend its engine (no space)" in answer.unmet[0]
    advice = explain(given.service, NOW).advice
    assert "no space" in advice
    assert "maintenance end" not in advice


def test_a_controller_that_hears_nobody_says_so_first() -> None:
    given = Given(P.PROTECTED).primary(None).backup(None)
    given.seen(proven_ms=NOW - 60_000, following_since_ms=-1)
    answer, _ = asking(given, Kind.SWITCHOVER)
    assert "hears no agent at all: look at the brokers" in answer.unmet[0]
    answer, _ = asking(Given(P.PROTECTED).silent(), Kind.SWITCHOVER)
    assert not any("no agent at all" in text for text in answer.unmet)
