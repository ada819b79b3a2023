"""`saling hold` and `saling release`, and what status and explain make of a hold."""

from __future__ import annotations

import json

import pytest

from controller.core.explanation.explain import HoldView
from tests.controller.cli import given
from tests.controller.cli.conftest import Saling
from tests.controller.cli.stub import Stub, accepted

HOUR_MS = 3_600_000
ASKED = ("--for", "4h", "--reason", "files are encrypted", "--by", "siti")
BODY = {"by": "siti", "reason": "files are encrypted", "for_ms": 4 * HOUR_MS}
HOLD = HoldView("siti", "files are encrypted", "site:batam", 4 * HOUR_MS, 2 * HOUR_MS)


@pytest.mark.parametrize(
    ("named", "path", "scope"),
    [
        (("paspor",), "/api/v1/services/paspor/hold", None),
        (("--site", "batam"), "/api/v1/hold", "site:batam"),
        (("--all",), "/api/v1/hold", "all"),
    ],
)
def test_a_service_a_site_or_everything_is_held_in_one_request(
    stub: Stub, saling: Saling, named: tuple[str, ...], path: str, scope: str | None
) -> None:
    stub.answers = [accepted("", "nobody takes over")]
    run = saling("hold", *named, *ASKED)
    assert (run.code, "nobody takes over" in run.out) == (0, True)
    (done,) = stub.done
    assert done.path == path
    assert done.body == BODY | ({"scope": scope} if scope else {})


def test_a_dry_run_holds_nothing(stub: Stub, saling: Saling) -> None:
    assert saling("hold", "paspor", "--dry-run", *ASKED).code == 0
    assert stub.done == []


@pytest.mark.parametrize(
    "named", [(), ("paspor", "--all"), ("--site", "batam", "--all"), ("paspor", "--site", "b")]
)
@pytest.mark.parametrize("command", ["hold", "release"])
def test_exactly_one_thing_must_be_named(
    stub: Stub, saling: Saling, named: tuple[str, ...], command: str
) -> None:
    run = saling(command, *named, *(ASKED if command == "hold" else ()))
    assert run.code == 2
    assert "name one SERVICE, or --site SITE, or --all; nothing was done" in run.err
    assert stub.asked == []


def test_a_release_names_who_and_why(stub: Stub, saling: Saling) -> None:
    stub.answers = [accepted("", "it ended")]
    run = saling("release", "--all", "--by", "siti", "--reason", "a false alarm", "-o", "json")
    assert run.code == 0
    assert json.loads(run.out)
    (done,) = stub.done
    assert (done.path, done.body) == (
        "/api/v1/release", {"by": "siti", "reason": "a false alarm", "scope": "all"},
    )  # fmt: skip


def test_status_counts_it_as_not_protected_and_says_by_whom_and_how_long(
    stub: Stub, saling: Saling
) -> None:
    stub.state = given.state(given.service(hold=HOLD), given.service("visa"))
    run = saling("status")
    assert run.code == 3
    assert "1 of 2 services protected, 1 NOT" in run.out
    assert "ON HOLD (site batam, 2 h left), by siti: files are encrypted; nobody" in run.out


def test_a_very_long_reason_of_an_alert_does_not_flood_the_status(
    stub: Stub, saling: Saling
) -> None:
    reason = "x" * 480
    hold = HoldView("alertmanager", reason, "all", 4 * HOUR_MS, 2 * HOUR_MS)
    told = f"an integrity hold is on (alertmanager: {reason}): find out"
    stub.state = given.state(
        given.service(hold=hold, protected=False, because=told, advice=f"{told}, then release it")
    )
    out = saling("status").out
    assert out.count("x") < 3 * 130
    assert "..." in out and "release it" in out
    assert saling("explain", "paspor").out.count("x") >= 480


def test_explain_says_that_readiness_is_raised_and_why(stub: Stub, saling: Saling) -> None:
    stub.state = given.state(
        given.service(hold=HOLD, readiness="an integrity hold is on (siti: files are encrypted)")
    )
    run = saling("explain", "paspor")
    assert "Readiness: raised, for an integrity hold is on (siti: files are encrypted)" in run.out


def test_status_shows_the_veto_of_a_host_until_it_can_have_ended(
    stub: Stub, saling: Saling
) -> None:
    one = given.service()
    one["copies"][0]["report"] |= {"veto": "siti: a new disk", "veto_left_ms": HOUR_MS}
    stub.state = given.state(one)
    run = saling("status")
    assert run.code == 0, "its primary is protected all the same"
    assert "jabodetabek-1 keeps its role (59 min left), by an operator of its host: siti" in run.out
    one["copies"][0]["heard_ago_ms"] = HOUR_MS + 1
    stub.state = given.state(one)
    assert "keeps its role" not in saling("status").out
