"""`saling what-if`: what it asks the controller, what it shows, and how it ends."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from controller.cli.client import Client
from controller.core.lost import Lost
from controller.core.model import Phase
from controller.core.what_if import what_if
from tests.controller.cli.conftest import Saling
from tests.controller.cli.stub import Stub
from tests.controller.core.given import NOW, UID, Given

Asked = list[list[tuple[str, str]]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, stub: Stub) -> Asked:
    """What was asked. The answers are real forecasts of a PROTECTED service whose site is lost;
    of one that stands ALONE where `nowhere` is asked."""
    queries: Asked = []

    def answer(_client: Client, query: list[tuple[str, str]]) -> Any:
        queries.append(query)
        phase = Phase.ALONE if ("lose", "nowhere") in query else Phase.PROTECTED
        lost = Lost({"jabodetabek"}, (), ("kill_controller", "true") in query)
        told = what_if(Given(phase).state(), lost, [UID], NOW)
        return {
            "controller_lost": lost.controller,
            "all_served": all(one.served for one in told),
            "services": msgspec.to_builtins(told),
        }

    monkeypatch.setattr(Client, "what_if", answer)
    return queries


def test_each_step_is_shown_with_its_sentence_and_when_at_the_latest(
    asked: Asked, saling: Saling
) -> None:
    run = saling("what-if", "--lose", "jabodetabek", "--service", "paspor")
    assert run.code == 0
    assert asked == [[("lose", "jabodetabek"), ("service", "paspor")]]
    assert "served by batam-1, unprotected (ALONE, epoch 2)" in run.out
    assert "at the latest after 1.0 s: PROTECTED to COUNTDOWN: jabodetabek-1 has" in run.out
    assert "outage 3.2 s at the latest; estimated loss" in run.out


def test_nobody_who_serves_is_exit_code_3(asked: Asked, saling: Saling) -> None:
    run = saling("what-if", "--lose", "nowhere", "--output", "json")
    assert run.code == 3
    assert json.loads(run.out)["all_served"] is False
    run = saling("what-if", "--lose", "jabodetabek", "--kill-controller")
    assert run.code == 3
    assert run.out.startswith("The controller would be lost: nothing is moved")


def test_several_cuts_are_read_as_pairs(asked: Asked, saling: Saling) -> None:
    saling("what-if", "--cut", "batam", "bali", "--cut", "bali", "pusat")
    assert asked == [[("cut", "batam,bali"), ("cut", "bali,pusat")]]


def test_nothing_lost_and_half_a_cut_are_wrong_use(asked: Asked, saling: Saling) -> None:
    assert saling("what-if").code == 2
    assert saling("what-if", "--cut", "batam").code == 2
    assert saling("what-if", "--lose", "batam", "stray").code == 2
    assert asked == []
