"""failover --force: asked for, proved by somebody else, or taken back."""

from __future__ import annotations

import pytest

from tests.controller.cli import given
from tests.controller.cli.conftest import Saling
from tests.controller.cli.stub import Stub, accepted, refused

FORCE = ("failover", "paspor", "--force", "--epoch", "3", "--yes")
PROOF = ("--proof", "the rack has no power", "--loss-bytes", "9000", "--loss-seconds", "2.5")


@pytest.fixture
def alone(stub: Stub) -> Stub:
    """A service whose primary stood alone and is lost."""
    lost = given.service("paspor", "ALONE", because="nobody follows", loss_bytes=5000, loss_ms=900)
    stub.state = given.state(lost)
    return stub


def test_the_force_says_what_it_does_and_what_somebody_else_must_do_then(
    alone: Stub, saling: Saling
) -> None:
    alone.answers = [accepted("paspor-42", "held: siti asks to move it by force")]
    run = saling(*FORCE, "--by", "siti", "--reason", "the site burns")
    assert run.code == 0
    assert "estimated loss now: 5000 bytes" in run.err and "it grows until" in run.err
    assert "then somebody else: saling failover paspor --force --epoch 3 --proof" in run.err
    (asked,) = alone.done
    assert asked.path.endswith("/services/paspor/force")
    assert asked.body == {"by": "siti", "reason": "the site burns", "epoch": 3}


def test_the_proof_is_sent_with_the_loss_and_its_operation_is_watched(
    alone: Stub, saling: Saling
) -> None:
    alone.answers = [accepted("paspor-42", "batam-1 becomes primary by force")]
    alone.then = lambda: alone.history.extend(given.moved())
    run = saling(*FORCE, "--by", "budi", *PROOF)
    assert run.code == 0
    assert "you state that the host of jabodetabek-1 is off and stays off" in run.err
    assert "two databases take writes" in run.err
    (asked,) = alone.done
    assert asked.path.endswith("/services/paspor/force-proof")
    assert (asked.body["loss_bytes"], asked.body["loss_ms"]) == (9000, 2500)
    assert asked.body["proof"] == "the rack has no power"
    assert "done: outage" in run.err


def test_it_is_taken_back_without_an_epoch_or_a_yes(alone: Stub, saling: Saling) -> None:
    alone.answers = [accepted("", "the failover by force was given up")]
    assert saling("failover", "paspor", "--force", "--give-up").code == 0
    assert alone.done[0].path.endswith("/services/paspor/force-end")


def test_a_refusal_by_the_rules_is_exit_code_4(alone: Stub, saling: Saling) -> None:
    alone.dry_answer = refused("force-proof of paspor is refused", "somebody else must say so")
    run = saling(*FORCE, *PROOF)
    assert run.code == 4
    assert "somebody else must say so" in run.err
    assert alone.done == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--force", "--yes"), "--force needs the epoch"),
        (("--force", "--epoch", "3"), "needs a yes"),
        (("--force", "--proof", "off", "--give-up"), "not both"),
        (("--force", "--epoch", "3", "--yes", "--proof", ""), "--proof is empty"),
        (("--proof", "", "--yes"), "belong to --force"),
        (("--proof", "off", "--yes"), "belong to --force"),
        (("--epoch", "3", "--yes"), "belong to --force"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(
    alone: Stub, saling: Saling, arguments: tuple[str, ...], told: str
) -> None:
    run = saling("failover", "paspor", *arguments)
    assert run.code == 2
    assert told in run.err
    assert alone.asked == []
