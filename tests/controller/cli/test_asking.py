"""switchover, failover, approve, pause, resume: what is shown, asked, done and watched."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from controller.cli import asking
from tests.controller.cli import given
from tests.controller.cli.conftest import Saling
from tests.controller.cli.stub import Stub, accepted, problem, refused

WHY = ("--reason", "the rack burns")


@pytest.fixture
def moving(stub: Stub) -> Stub:
    """Accepts a switchover; its history appears at once."""
    stub.history = [given.line(1, "ARMING", "PROTECTED", "armed long ago")]
    stub.answers = [accepted("paspor-42", "jabodetabek-1 stops in order")]
    stub.then = lambda: stub.history.extend(given.moved())
    return stub


def test_a_switchover_shows_prediction_and_steps_then_each_change(
    moving: Stub, saling: Saling
) -> None:
    run = saling("switchover", "paspor", "--yes", *WHY)
    assert run.code == 0
    assert "predicted outage: about 1.0 s" in run.err
    assert "predicted loss: none" in run.err
    assert "1. DRAINING: an operator moves the service from jabodetabek-1 to batam-1" in run.err
    assert "3. ROUTING: batam-1 commits in epoch 4; traffic moves to it" in run.err
    assert "DRAINING -> PROMOTING" in run.out and "it stopped in order" in run.out
    assert "armed long ago" not in run.out
    assert "done: outage 640 ms, estimated loss 0 bytes" in run.err


def test_the_request_carries_who_why_and_the_epoch_that_was_shown(
    moving: Stub, saling: Saling
) -> None:
    saling("switchover", "paspor", "--yes", "--by", "sri", *WHY)
    (asked,) = moving.done
    assert asked.path == "/api/v1/services/paspor/switchover"
    assert asked.body == {"by": "sri", "reason": "the rack burns", "epoch": 3}
    assert len(asked.key) == 32


def test_two_invocations_have_two_keys_and_a_broken_connection_keeps_its_own(
    moving: Stub, saling: Saling
) -> None:
    moving.break_connections = 1
    assert saling("switchover", "paspor", "--yes").code == 0
    first, again = moving.done
    assert first.key == again.key and first.body == again.body
    saling("switchover", "paspor", "--yes", "--no-wait")
    assert moving.done[-1].key != first.key


def test_without_a_terminal_and_without_yes_nothing_is_asked_for(
    moving: Stub, saling: Saling
) -> None:
    for kind in ("switchover", "failover"):
        run = saling(kind, "paspor", *WHY)
        assert run.code == 2
        assert "no terminal to ask on" in run.err and "--yes" in run.err
    assert moving.asked == []


def test_a_dry_run_shows_the_steps_and_asks_with_dry_run_alone(
    moving: Stub, saling: Saling
) -> None:
    run = saling("switchover", "paspor", "--dry-run")
    assert run.code == 0
    assert "6. PROTECTED: batam-1 writes under a lease and jabodetabek-1 may take over" in run.out
    assert "the controller would accept it: it would be done" in run.out
    assert [one.body["dry_run"] for one in moving.asked] == [True]
    data = json.loads(saling("switchover", "paspor", "--dry-run", "-o", "json").out)
    assert data["dry_run"] is True and len(data["steps"]) == 6
    assert (data["predicted_outage_ms"], data["predicted_loss_bytes"]) == (1000, 0)
    assert moving.done == []


def test_a_failover_shows_the_loss_against_the_bound(moving: Stub, saling: Saling) -> None:
    run = saling("failover", "paspor", "--dry-run")
    assert "predicted loss: an estimated 0.02 MiB, bound 16.00 MiB" in run.out
    assert "predicted outage: at most 3.5 s" in run.out
    assert "1. COUNTDOWN: an operator asks for a failover from jabodetabek-1" in run.out


def test_a_loss_beyond_the_bound_is_said_before_anything_is_asked(
    moving: Stub, saling: Saling
) -> None:
    moving.state = given.state(given.service(loss_bytes=None, proven_ago_ms=60_000))
    run = saling("failover", "paspor", "--dry-run")
    assert "predicted loss: an unknown amount" in run.out
    assert "it would be held for an approval" in run.out
    assert "predicted outage: at most 1 min 1 s" in run.out


def test_a_failover_without_a_reason_is_a_usage_error(moving: Stub, saling: Saling) -> None:
    run = saling("failover", "paspor", "--yes")
    assert run.code == 2
    assert "--reason" in run.err
    assert moving.done == []


def test_a_refusal_exits_with_4_and_names_each_unmet_condition(
    moving: Stub, saling: Saling
) -> None:
    moving.dry_answer = refused("failover of paspor is refused", "it commits", "it is heard")
    run = saling("failover", "paspor", "--yes", *WHY)
    assert run.code == 4
    assert "would be possible if this did not stand in the way: it commits" in run.err
    assert "would be possible if this did not stand in the way: it is heard" in run.err
    assert run.out == ""
    assert moving.done == []


def test_a_refusal_as_json_is_data_on_stdout(moving: Stub, saling: Saling) -> None:
    moving.dry_answer = refused("no", "it commits")
    run = saling("switchover", "paspor", "--yes", "-o", "json")
    assert run.code == 4
    assert json.loads(run.out)["unmet"] == ["it commits"]


def test_a_conflict_exits_with_5_and_says_what_to_do(moving: Stub, saling: Saling) -> None:
    moving.answers = [problem(409, "paspor is in epoch 4, not 3", "body: epoch", "look again")]
    run = saling("switchover", "paspor", "--yes")
    assert run.code == 5
    assert "conflict: paspor is in epoch 4, not 3 (body: epoch)" in run.err
    assert "mend: look again" in run.err


def test_no_wait_returns_at_once_and_says_how_to_watch(moving: Stub, saling: Saling) -> None:
    run = saling("switchover", "paspor", "--yes", "--no-wait")
    assert run.code == 0
    assert "watch it with: saling history paspor" in run.err


def test_what_does_not_end_in_time_exits_with_1_and_goes_on(moving: Stub, saling: Saling) -> None:
    moving.then = lambda: moving.history.extend(given.moved()[:1])
    run = saling("switchover", "paspor", "--yes", "--timeout", "0.5")
    assert run.code == 1
    assert "PROTECTED -> DRAINING" in run.out
    assert "still under way after 0.5 s; it goes on in the controller" in run.err


def test_what_is_given_up_exits_with_1_and_says_why(moving: Stub, saling: Saling) -> None:
    ended = given.line(3, "DRAINING", "ARMING", "the drain took too long", outcome="given up")
    moving.then = lambda: moving.history.extend([given.moved()[0], ended])
    run = saling("switchover", "paspor", "--yes")
    assert run.code == 1
    assert "given up: the drain took too long" in run.err


def test_a_failover_that_is_held_exits_with_4_and_shows_the_way_on(
    moving: Stub, saling: Saling
) -> None:
    moving.then = lambda: moving.history.append(given.line(2, "COUNTDOWN", "HELD", "held: 20 MiB"))
    run = saling("failover", "paspor", "--yes", *WHY)
    assert run.code == 4
    assert "waits for an operator; see: saling explain paspor" in run.err


def test_an_operation_of_another_service_or_another_time_is_not_taken_for_this(
    moving: Stub, saling: Saling
) -> None:
    def another() -> None:
        other = {"id": "paspor-40", "kind": "failover", "by": "x"}
        moving.history.append(
            given.line(2, "ROUTING", "ALONE", "older", outcome="done", operation=other)
        )

    moving.then = another
    assert saling("switchover", "paspor", "--yes", "--timeout", "0.5").code == 1


def test_the_result_as_json_is_one_document(moving: Stub, saling: Saling) -> None:
    run = saling("switchover", "paspor", "--yes", "-o", "json")
    data = json.loads(run.out)
    assert (data["operation"], data["ending"]) == ("paspor-42", "done")
    assert (data["outage_ms"], data["loss_bytes"]) == (640, 0)
    assert [line["number"] for line in data["history"]] == [2, 3, 4, 5]
    assert "it stopped in order" in run.err


def test_a_controller_that_is_away_for_a_while_is_asked_again(
    moving: Stub, saling: Saling, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        moving.history_answer = problem(503, "restarting", "store")

    def back(text: str) -> None:
        warned.append(text)
        moving.history_answer = None
        moving.history.extend(given.moved())

    warned: list[str] = []
    moving.then = away
    monkeypatch.setattr(asking, "warn", back)
    assert saling("switchover", "paspor", "--yes").code == 0
    assert "restarting" in warned[0] and "asking again" in warned[0]


def test_approve_shows_what_it_accepts_and_names_epoch_and_loss(stub: Stub, saling: Saling) -> None:
    stub.state = given.state(given.held())
    stub.answers = [accepted("paspor-42")]
    stub.then = lambda: stub.history.extend(given.moved()[1:])
    run = saling("approve", "paspor", "--epoch", "3", "--loss-bytes", "20971520",
                 "--loss-seconds", "4.1", *WHY)  # fmt: skip
    assert run.code == 0
    assert "you accept, for epoch 3 alone: a loss of up to 20971520 bytes (20.00 MiB)" in run.err
    assert "estimated loss now: 20971520 bytes, 20.00 MiB of 4.1 s at most" in run.err
    body = stub.done[0].body
    assert (body["epoch"], body["loss_bytes"], body["loss_ms"]) == (3, 20971520, 4100)
    assert body["reason"] == "the rack burns"


def test_the_first_of_two_people_is_told_that_it_waits_for_another(
    stub: Stub, saling: Saling
) -> None:
    stub.state = given.state(given.held())
    stub.answers = [accepted("", "a loss is accepted by siti; somebody else must say the same")]
    run = saling("approve", "paspor", "--epoch", "3", "--loss-bytes", "20971520",
                 "--loss-seconds", "4.1", *WHY)  # fmt: skip
    assert run.code == 0
    assert "somebody else must say the same" in run.err


def test_approve_of_a_loss_without_a_figure_tells_the_figure(stub: Stub, saling: Saling) -> None:
    stub.state = given.state(given.held())
    run = saling("approve", "paspor", "--epoch", "3", *WHY)
    assert run.code == 2
    assert "--loss-bytes" in run.err and "20971520 bytes" in run.err
    assert stub.asked == []


def test_an_approval_of_a_small_loss_is_refused(stub: Stub, saling: Saling) -> None:
    stub.state = given.state(given.held())
    approval = ("approve", "paspor", "--epoch", "2", "--loss-bytes", "1", "--loss-seconds", "0",
                *WHY)  # fmt: skip
    stub.answers = [refused("no", "an approval must name a loss of at least 20.00 MiB")]
    assert saling(*approval).code == 4


def test_approve_without_an_epoch_is_a_usage_error(stub: Stub, saling: Saling) -> None:
    run = saling("approve", "paspor", *WHY)
    assert run.code == 2
    assert "--epoch" in run.err


def test_pause_wants_a_reason_and_resume_none(stub: Stub, saling: Saling) -> None:
    stub.answers = [accepted("", "an operator paused automatic failover")]
    assert saling("pause", "paspor").code == 2
    run = saling("pause", "paspor", *WHY)
    assert (run.code, run.out) == (0, "paspor: an operator paused automatic failover\n")
    assert saling("resume", "paspor").code == 0
    assert [one.path.rsplit("/", 1)[1] for one in stub.done] == ["pause", "resume"]


def test_pause_of_all_names_the_services_that_refused(stub: Stub, saling: Saling) -> None:
    body: dict[str, Any] = {
        "accepted": False,
        "text": "pause: 1 of 2 services",
        "refused": ["visa"],
        "services": {
            "visa": {"service": "visa", "refused": "visa is in COUNTDOWN", "unmet": ["wait"]},
            "paspor": {"service": "paspor", "accepted": True},
        },
    }
    stub.answers = [(412, body)]
    run = saling("pause", *WHY)
    assert run.code == 4
    assert stub.done[0].path == "/api/v1/pause"
    assert "refused: pause: 1 of 2 services" in run.err
    assert "visa: visa is in COUNTDOWN; wait" in run.err


def test_demo_says_what_is_missing(saling: Saling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lab.demo", None)
    run = saling("demo")
    assert run.code == 1
    assert "lab.demo" in run.err and "saling[lab]" in run.err


def test_demo_hands_on_what_was_asked_and_how_it_ended(
    saling: Saling, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given_to: list[object] = []

    def run_demo(keep: bool, report: Path) -> int:
        given_to.extend([keep, report])
        return 1

    lab = ModuleType("lab.demo")
    monkeypatch.setattr(lab, "main", run_demo, raising=False)
    monkeypatch.setitem(sys.modules, "lab.demo", lab)
    assert saling("demo", "--keep", "--report", str(tmp_path / "r.json")).code == 1
    assert given_to == [True, tmp_path / "r.json"]


def test_no_word_of_others_repaints_the_terminal(moving: Stub, saling: Saling) -> None:
    evil = "one\x1b[2J\x9b2Jtwo\nthree"
    moving.state = given.state(given.service(because=evil, advice=evil))
    for arguments in (("status",), ("explain", "paspor"), ("switchover", "paspor", "--dry-run")):
        out = saling(*arguments).out
        assert "one [2J 2Jtwo three" in out
        assert "\x1b" not in out and "\x9b" not in out
    moving.dry_answer = refused(evil, evil)
    assert "\x1b" not in saling("switchover", "paspor", "--yes").err
    assert "\x1b" not in saling("status", "paspor", "-o", "json").out


def test_words_of_others_are_printed_as_they_are(moving: Stub, saling: Saling) -> None:
    because = "[red]an operator[/red] said :smile:"
    moving.state = given.state(given.service(because=because))
    assert because in saling("switchover", "paspor", "--dry-run").out
    assert because in saling("status").out
    assert because in saling("explain", "paspor").out
