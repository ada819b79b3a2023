"""`saling what-if`: what it asks the controller, what it shows, and how it ends."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest

from controller.cli.client import Client
from controller.cli.exits import CommandFailed, Exit
from controller.core.foresight.lost import Lost
from controller.core.foresight.what_if import what_if
from controller.core.model import Phase
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
        places = {"elsewhere"} if ("lose", "elsewhere") in query else {"jabodetabek"}
        lost = Lost(places, (), ("kill_controller", "true") in query)
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
    assert "after 1.4 s at most: PROTECTED to COUNTDOWN: jabodetabek-1 has proved no" in run.out
    assert "writes again after 3.5 s at most; estimated loss" in run.out


def test_nobody_who_serves_is_exit_code_3(asked: Asked, saling: Saling) -> None:
    run = saling("what-if", "--lose", "nowhere", "--output", "json")
    assert run.code == 3
    assert json.loads(run.out)["all_served"] is False
    run = saling("what-if", "--lose", "jabodetabek", "--kill-controller")
    assert run.code == 3
    assert run.out.startswith("The controller would be lost: nothing is moved")


def test_each_service_counts_once_and_one_is_no_plural(asked: Asked, saling: Saling) -> None:
    run = saling("what-if", "--lose", "jabodetabek")
    assert run.out.splitlines()[0] == "1 service: 1 served after an outage but unprotected."
    run = saling("what-if", "--lose", "nowhere")
    assert run.out.splitlines()[0] == "1 service: 1 HELD and served by nobody."


def test_what_is_unprotected_is_so_when_last_looked(asked: Asked, saling: Saling) -> None:
    told = " ".join(saling("what-if", "--lose", "jabodetabek").out.split())
    assert re.search(r"still unprotected when last looked, [\d.]+ s after the loss: batam-1", told)
    told = " ".join(saling("what-if", "--lose", "nowhere").out.split())
    assert re.search(r"unprotected now, still unserved when last looked, [\d.]+ s after", told)


def test_several_losses_at_once_are_all_asked_and_cuts_are_pairs(
    asked: Asked, saling: Saling
) -> None:
    saling(
        *("what-if", "--cut", "batam", "bali", "--lose", "pusat", "--cut", "bali", "pusat"),
        *("--lose", "batam", "--kill-controller", "--service", "paspor"),
    )
    (query,) = asked
    assert query == [
        ("lose", "pusat"), ("lose", "batam"), ("cut", "batam,bali"), ("cut", "bali,pusat"),
        ("kill_controller", "true"), ("service", "paspor"),
    ]  # fmt: skip


def test_it_fits_eighty_columns_without_a_colour(
    asked: Asked, saling: Saling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    run = saling("what-if", "--lose", "jabodetabek")
    assert max(map(len, run.out.splitlines())) <= 80
    assert "\x1b" not in run.out


def test_what_stays_as_it_is_is_only_named(asked: Asked, saling: Saling) -> None:
    run = saling("what-if", "--lose", "elsewhere")
    assert (run.code, run.out.splitlines()[-1]) == (0, "As before, served and protected: paspor")


def test_nothing_lost_and_half_a_cut_are_wrong_use(asked: Asked, saling: Saling) -> None:
    assert saling("what-if").code == 2
    run = saling("what-if", "--cut", "batam", "--lose", "bali")
    assert run.code == 2
    assert "it takes two places" in run.err
    assert saling("what-if", "--lose", "batam", "stray").code == 2
    run = saling("what-if", "--cut", "batam", "batam")
    assert (run.code, "both are one place" in run.err) == (2, True)
    assert saling("what-if", *["--lose", "batam"] * 65).code == 2
    assert asked == []


def test_what_the_controller_does_not_know_is_named_by_its_option(
    saling: Saling, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {
        "error": 'there is no site "atlantis"',
        "where": "query: lose",
        "mend": "the sites, and the controller's failure domain, are: " + ", ".join(["batam"] * 9),
    }

    def refuse(_client: Client, _query: object) -> Any:
        raise CommandFailed('there is no site "atlantis" (query: lose)', Exit.USAGE, body)

    monkeypatch.setattr(Client, "what_if", refuse)
    run = saling("what-if", "--lose", "atlantis")
    assert run.code == 2
    assert run.err.startswith('--lose: there is no site "atlantis"\n  mend: the sites')
    assert max(map(len, run.err.splitlines())) <= 80
    assert json.loads(saling("what-if", "--lose", "atlantis", "-o", "json").out) == body
