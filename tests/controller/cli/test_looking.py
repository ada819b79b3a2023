"""status, topology, explain, history: what is shown, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.controller.cli import given
from tests.controller.cli.conftest import Saling
from tests.controller.cli.stub import Stub, problem


def test_status_of_a_whole_cluster_says_so_in_its_first_line(stub: Stub, saling: Saling) -> None:
    run = saling("status")
    assert run.code == 0
    first = run.out.splitlines()[0]
    assert "1 of 1 services protected" in first
    assert "controller fine: term 7, sqlite up, brokers 2/2" in first
    assert run.err == ""


def test_status_shows_the_unprotected_service_first_and_exits_with_3(
    stub: Stub, saling: Saling
) -> None:
    stub.state = given.state(given.service("visa"), given.held("pajak"))
    run = saling("status")
    assert run.code == 3
    assert "1 of 2 services protected, 1 NOT" in run.out.splitlines()[0]
    assert run.out.index("pajak  ") < run.out.index("visa  ")
    assert "held: a failover loses an estimated 20.00 MiB, only 16.00 MiB are accepted" in run.out
    assert "saling approve pajak --epoch 3" in run.out


def test_status_marks_a_service_whose_quarantine_waits_for_a_human(
    stub: Stub, saling: Saling
) -> None:
    clean = given.service("visa")
    clean["copies"][0]["report"]["quarantine"] = ""
    stub.state = given.state(clean, given.service("paspor"))
    run = saling("status")
    assert run.code == 0
    rows = {line.split()[0]: line.split()[1] for line in run.out.splitlines() if "MiB" in line}
    assert rows == {"paspor": "PROTECTED*", "visa": "PROTECTED"}
    told = "* quarantine at jabodetabek-1, waits for a human: 12 transactions are kept in /q"
    assert " ".join(run.out.split()).count(told) == 1


def test_status_shows_lag_against_bound_and_the_lease_left(stub: Stub, saling: Saling) -> None:
    run = saling("status")
    row = next(line for line in run.out.splitlines() if line.startswith("paspor"))
    assert row.split("  ")[-2:] == ["512 bytes / 16.00 MiB", "1.4 s / 2.0 s"]
    assert "jabodetabek-1" in row and "batam-1" in row


def test_status_fits_into_100_columns_even_with_long_names(stub: Stub, saling: Saling) -> None:
    name = "kependudukan-" * 4 + "x"
    stub.state = given.state(given.service(name, primary="a" * 60, because="why " * 100))
    run = saling("status")
    assert max(map(len, run.out.splitlines())) <= 100
    assert "why why why" in run.out


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"brokers": [given.broker("arbiter:1883", False, "refused")]}, "arbiter:1883 is not conn"),
        (
            {"store": {"kind": "sqlite", "up": False, "problem": "disk full"}},
            "the store does not answer: disk full",
        ),
        (
            {"store": {"kind": "sqlite", "up": True, "broken_records": {"visa": "torn"}}},
            "the record of visa cannot be read",
        ),
        (
            {"agents": [given.agent(given.SECOND, "batam", up=False, heard_ago_ms=65_000)]},
            "batam-1 1 min 5 s ago",
        ),
    ],
)
def test_status_is_degraded_when_the_controller_or_a_site_is(
    stub: Stub, saling: Saling, changes: dict, words: str
) -> None:
    stub.state = given.state(given.service(), **changes)
    run = saling("status")
    assert run.code == 3
    assert words in run.out


def test_a_site_that_is_only_planned_degrades_nothing(stub: Stub, saling: Saling) -> None:
    stub.state = given.state(given.service())
    stub.state["sites"].append({**given.site("ikn", "labuan-bajo", "ikn-1"), "state": "planned"})
    stub.state["agents"].append(given.agent("ikn-1", "ikn", up=False, heard_ago_ms=-1))
    assert saling("status").code == 0


def test_a_paused_service_does_not_count_as_protected(stub: Stub, saling: Saling) -> None:
    stub.state = given.state(given.service(paused="by sri: a new rack"))
    run = saling("status")
    assert run.code == 3
    assert "PAUSED by sri: a new rack" in run.out


def test_status_says_when_the_primary_of_a_protected_service_is_silent(
    stub: Stub, saling: Saling
) -> None:
    stub.state = given.state(given.service(proven_ago_ms=7400))
    assert "was last heard to commit 7.4 s ago, by the controller" in saling("status").out


def test_status_of_one_service_judges_that_service_alone(stub: Stub, saling: Saling) -> None:
    stub.state = given.state(given.service("visa"), given.held("pajak"))
    well, ill = saling("status", "visa"), saling("status", "pajak")
    assert (well.code, ill.code) == (0, 3)
    assert "pajak" not in well.out


def test_status_as_json_is_what_the_controller_said(stub: Stub, saling: Saling) -> None:
    assert json.loads(saling("status", "--output", "json").out) == stub.state
    one = json.loads(saling("status", "paspor", "-o", "json").out)
    assert one == stub.state["services"][0]


def test_topology_shows_pairs_and_the_role_of_each_copy(stub: Stub, saling: Saling) -> None:
    run = saling("topology")
    assert run.code == 0
    assert "controller in arbiter" in run.out
    assert "pair jabodetabek <-> batam" in run.out
    assert "primary jabodetabek-1 in jabodetabek" in run.out
    data = json.loads(saling("topology", "-o", "json").out)
    assert set(data) == {"cluster", "controller", "sites", "links", "paths", "pairs", "services"}


def test_explain_says_what_holds_what_must_happen_and_what_was_decided(
    stub: Stub, saling: Saling
) -> None:
    stub.history = given.moved()
    run = saling("explain", "paspor")
    assert run.code == 0
    assert "Why: jabodetabek-1 writes under a lease" in run.out
    assert "Advice: Nothing to do." in run.out
    assert "primary silent -> COUNTDOWN, by itself" in run.out
    assert "not met  jabodetabek-1 proved a commit to the controller 0.3 s ago" in run.out
    assert "met      batam-1 stands by under this revision" in run.out
    assert "switchover -> DRAINING, if an operator asks" in run.out
    assert "no operator asks" not in run.out
    assert "loses an estimated 0.02 MiB (bound 16.00 MiB), takes at most 3.5 s" in run.out
    assert "switchover paspor-42 by sri (a new rack): done" in run.out
    assert "quarantine: 12 transactions are kept" in " ".join(run.out.split())


def test_explain_works_while_the_store_is_down(stub: Stub, saling: Saling) -> None:
    stub.history_answer = problem(503, "the disk is full", "store")
    run = saling("explain", "paspor")
    assert run.code == 0
    assert "Advice: Nothing to do." in run.out
    assert "not known" in run.out and "the disk is full" in run.out


def test_explain_as_json_adds_the_history(stub: Stub, saling: Saling) -> None:
    stub.history = given.moved()
    data = json.loads(saling("explain", "paspor", "-o", "json").out)
    assert data["phase"] == "PROTECTED"
    assert [line["number"] for line in data["history"]] == [5, 4, 3, 2]


def test_history_is_newest_first_and_no_longer_than_asked(stub: Stub, saling: Saling) -> None:
    stub.history = given.moved()
    run = saling("history", "--limit", "2")
    assert "it serves in epoch 4" in run.out
    assert "outage 640 ms" in run.out
    assert "it stopped in order" not in run.out
    assert len(json.loads(saling("history", "-o", "json").out)["history"]) == 4


def test_history_of_a_new_service_says_that_there_is_none(stub: Stub, saling: Saling) -> None:
    assert "nothing was decided yet" in saling("history", "paspor").out


@pytest.mark.parametrize("limit", ["0", "1001", "many"])
def test_history_refuses_a_limit_that_makes_no_sense(
    stub: Stub, saling: Saling, limit: str
) -> None:
    assert saling("history", "--limit", limit).code == 2


@pytest.mark.parametrize("name", ["../state", "paspor'; --", "Paspor", "a" * 64, "🌋", "", "-x-"])
def test_a_name_that_can_be_none_never_reaches_the_controller(
    stub: Stub, saling: Saling, name: str
) -> None:
    run = saling("switchover", "--yes", "--", name)
    assert run.code == 2
    assert stub.asked == []
    assert "is no name of a service" in run.err


def test_an_unknown_service_is_a_usage_error_that_lists_those_that_are(
    stub: Stub, saling: Saling
) -> None:
    for command in ("status", "explain"):
        run = saling(command, "pspor")
        assert run.code == 2
        assert "there is no service" in run.err and "paspor" in run.err
        assert run.out == ""


def test_an_answer_of_another_shape_names_the_field(stub: Stub, saling: Saling) -> None:
    stub.state = {**stub.state, "term": "seven"}
    run = saling("status")
    assert run.code == 1
    assert "$.term" in run.err and "same version on both sides" in run.err


def test_new_fields_of_a_later_controller_are_ignored(stub: Stub, saling: Saling) -> None:
    stub.state = {**stub.state, "weather": "fine"}
    stub.state["services"][0]["mood"] = "calm"
    assert saling("status").code == 0


def test_validate_needs_no_controller_and_hands_on_the_verdict(
    saling: Saling, root: Path, tmp_path: Path
) -> None:
    good = saling("validate", str(root / "config/example/four-sites.yaml"))
    assert good.code == 0
    bad_file = tmp_path / "bad.yaml"
    bad_file.write_text("sites: no\n")
    bad = saling("validate", str(bad_file), "-o", "json")
    assert bad.code == 2
    assert json.loads(bad.out)["valid"] is False


def test_version_is_told_without_a_controller(saling: Saling) -> None:
    assert saling("version").out.startswith("saling ")
    assert "version" in json.loads(saling("version", "-o", "json").out)


def test_status_and_explain_show_what_may_not_come_in_time(stub: Stub, saling: Saling) -> None:
    late = (
        "renewals of jabodetabek-1 come late: p99.9 is 310 ms, TTL/8 is 250 ms; "
        "choose profile standard or free the machine"
    )
    stub.state = given.state(given.service(warnings=[late]))
    for words in (("status",), ("explain", "paspor")):
        shown = " ".join(saling(*words).out.split())
        assert late in shown


def test_a_service_held_for_a_loss_shows_that_loss_and_no_lag(stub: Stub, saling: Saling) -> None:
    stub.state = given.state(given.held() | {"lag_bytes": 0})
    assert "loss 20.00 MiB / 16.00 MiB" in saling("status").out
    shown = saling("explain", "paspor").out
    assert "held for a loss of 20.00 MiB of 4.1 s at most (bound 16.00 MiB)" in shown
    assert "0 bytes behind" not in shown
