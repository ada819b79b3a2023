"""`saling maintenance`, and what `saling status` makes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.core.explanation.explain import MaintenanceView
from tests.controller.cli import given
from tests.controller.cli.conftest import Saling
from tests.controller.cli.stub import Stub, accepted, problem, refused

BEGIN = ("--for", "2h", "--reason", "kernel patches", "--by", "sri")
HOUR_MS = 3_600_000
MINUTE_MS = 60_000


def away(name: str = "paspor", **changes: Any) -> dict[str, Any]:
    """A service whose backup is in maintenance, with 40 minutes left."""
    facts: dict[str, Any] = {
        "agent": given.SECOND, "by": "sri", "reason": "kernel patches", "for_ms": 2 * HOUR_MS,
        "left_ms": 40 * MINUTE_MS, "away": True, "may_stop": True, "as_announced": True,
    }  # fmt: skip
    view = MaintenanceView(**(facts | changes))
    return given.service(name, "ALONE", because="batam-1 is away", maintenance=view)


def overdue() -> dict[str, Any]:
    return away(left_ms=-5 * MINUTE_MS, as_announced=False)


@pytest.fixture
def planning(stub: Stub) -> Stub:
    """Two services with their backup at batam-1; a begin is accepted and acknowledged at once."""
    stub.state = given.state(given.service(), given.service("visa"))
    stub.answers = [accepted("", "nobody can take over meanwhile")]

    def begun() -> None:
        stub.state = given.state(away(), away("visa"))

    stub.then = begun
    return stub


def test_a_maintenance_of_one_service_says_what_it_costs_and_when_to_stop_the_backup(
    planning: Stub, saling: Saling
) -> None:
    run = saling("maintenance", "begin", "--service", "paspor", *BEGIN)
    assert run.code == 0
    assert "paspor: nobody can take over meanwhile" in run.out
    assert "the backup of paspor may be stopped now" in run.err
    (done,) = planning.done
    assert done.path == "/api/v1/services/paspor/maintenance-begin"
    assert done.body == {"by": "sri", "reason": "kernel patches", "for_ms": 2 * HOUR_MS}


@pytest.mark.parametrize("place", ["batam-1", "batam"])
def test_an_agent_or_a_site_means_every_service_with_a_copy_there(
    planning: Stub, saling: Saling, place: str
) -> None:
    for one in planning.state["services"]:
        one["copies"][1]["site"] = "batam"
    assert saling("maintenance", "begin", place, *BEGIN).code == 0
    assert [one.path.split("/")[4] for one in planning.done] == ["paspor", "visa"]
    assert {one.body["agent"] for one in planning.done} == {"batam-1"}


def test_what_one_service_refuses_is_done_for_none(planning: Stub, saling: Saling) -> None:
    planning.dry_answer = refused(
        "maintenance-begin of paspor is refused",
        "jabodetabek-1 holds the primary of paspor: switch over first, with `saling switchover "
        "paspor`",
    )
    run = saling("maintenance", "begin", "jabodetabek-1", *BEGIN)
    assert run.code == 4
    assert "the maintenance of jabodetabek-1 is refused, nothing was done" in run.err
    assert "switch over first, with `saling switchover paspor`" in run.err
    assert planning.done == []


def test_a_dry_run_of_a_maintenance_changes_nothing(planning: Stub, saling: Saling) -> None:
    planning.dry_answer = accepted("", "nobody can take over meanwhile")
    run = saling("maintenance", "begin", "batam-1", *BEGIN, "--dry-run")
    assert run.code == 0
    assert "dry run: the controller would accept it: nobody can take over" in run.out
    assert planning.done == []


def test_a_primary_that_does_not_answer_in_time_is_said_aloud(
    planning: Stub, saling: Saling
) -> None:
    planning.then = lambda: planning.state["services"].__setitem__(0, away(may_stop=False))
    run = saling("maintenance", "begin", "--service", "paspor", *BEGIN, "--timeout", "0.3")
    assert run.code == 1
    assert "do not stop it yet" in run.err


def test_no_wait_returns_once_it_is_accepted(planning: Stub, saling: Saling) -> None:
    planning.then = None
    run = saling("maintenance", "begin", "--service", "paspor", *BEGIN, "--no-wait")
    assert run.code == 0
    assert "may be stopped" not in run.err


def test_one_that_fails_halfway_says_what_was_announced(planning: Stub, saling: Saling) -> None:
    planning.answers = [accepted(""), problem(503, "the store does not answer", "store")]
    planning.then = None
    run = saling("maintenance", "begin", "batam-1", *BEGIN)
    assert run.code == 1
    assert "announced before that: paspor" in run.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name either an AGENT or SITE, or one service"),
        (("batam-1", "--service", "paspor"), "name either an AGENT or SITE, or one service"),
        (("--service", "nothing"), "there is no service"),
        (("nowhere",), "there is no agent or site"),
    ],
)
def test_a_place_that_is_not_understood_is_a_usage_error(
    planning: Stub, saling: Saling, arguments: tuple[str, ...], words: str
) -> None:
    run = saling("maintenance", "begin", *arguments, *BEGIN)
    assert run.code == 2
    assert words in run.err
    assert planning.asked == []


@pytest.mark.parametrize("text", ["2", "two hours", "-2h", "", "2y", "30s", "31d"])
def test_a_time_that_is_not_understood_is_a_usage_error(
    planning: Stub, saling: Saling, text: str
) -> None:
    run = saling("maintenance", "begin", "batam-1", "--reason", "x", f"--for={text}")
    assert run.code == 2
    assert planning.asked == []


def test_end_asks_where_one_is_announced_and_is_content_where_none_is(
    stub: Stub, saling: Saling
) -> None:
    stub.state = given.state(away(), given.service("visa"))
    stub.answers = [accepted("", "it was ended by sri")]
    run = saling("maintenance", "end", "batam-1", "--by", "sri")
    assert run.code == 0
    assert "paspor: it was ended by sri" in run.out
    assert [one.path for one in stub.done] == ["/api/v1/services/paspor/maintenance-end"]
    stub.state = given.state(given.service())
    again = saling("maintenance", "end", "--service", "paspor")
    assert again.code == 0
    assert "no maintenance is announced there; nothing was done" in again.err
    assert len(stub.done) == 1


def test_list_shows_what_is_left_and_by_whom(stub: Stub, saling: Saling) -> None:
    assert "no maintenance is announced" in saling("maintenance", "list").out
    stub.state = given.state(away(), given.service("visa"))
    run = saling("maintenance", "list")
    assert run.code == 0
    for words in ("paspor", "batam-1", "2 h", "40 min left", "away", "sri", "kernel patches"):
        assert words in run.out
    assert "visa" not in run.out
    listed = json.loads(saling("maintenance", "list", "-o", "json").out)["maintenance"]
    assert [(one["service"], one["left_ms"]) for one in listed] == [("paspor", 40 * MINUTE_MS)]


def test_a_maintenance_as_announced_is_not_degraded(stub: Stub, saling: Saling) -> None:
    stub.state = given.state(
        away(),
        given.service("visa"),
        agents=[
            given.agent(given.FIRST, "jabodetabek"),
            given.agent(given.SECOND, "batam", up=False, heard_ago_ms=65_000),
        ],
    )
    run = saling("status")
    assert run.code == 0
    assert "1 of 2 services protected, 1 in maintenance | controller fine" in run.out
    assert "ALONE (maintenance of batam-1, 40 min left), by sri: kernel patches" in run.out
    assert "NOT HEARD, in maintenance" in run.out
    assert saling("status", "paspor").code == 0


def test_an_overdue_maintenance_is_degraded_and_says_by_how_much(
    stub: Stub, saling: Saling
) -> None:
    stub.state = given.state(overdue())
    run = saling("status")
    assert run.code == 3
    assert "0 of 1 services protected, 1 NOT" in run.out
    assert "ALONE (maintenance of batam-1, overdue by 5 min)" in run.out
    assert saling("status", "paspor").code == 3


def test_another_agent_that_is_silent_meanwhile_is_degraded_all_the_same(
    stub: Stub, saling: Saling
) -> None:
    silent = given.agent(given.FIRST, "jabodetabek", up=False, heard_ago_ms=65_000)
    stub.state = given.state(away(), agents=[silent])
    assert saling("status").code == 3


def test_a_primary_that_died_meanwhile_is_degraded(stub: Stub, saling: Saling) -> None:
    stub.state = given.state(away(as_announced=False))
    assert saling("status").code == 3


def test_explain_shows_the_maintenance(stub: Stub, saling: Saling) -> None:
    stub.state = given.state(away())
    run = saling("explain", "paspor")
    assert "ALONE (maintenance of batam-1, 40 min left), by sri" in run.out
