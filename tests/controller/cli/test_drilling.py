"""`saling drill`: lists and reports; what it moves is that of any plan."""

from __future__ import annotations

from typing import Any

import pytest

from controller.cli.client import Client
from tests.controller.cli import given
from tests.controller.cli.conftest import Saling
from tests.controller.cli.stub import Stub
from tests.controller.cli.test_planning import PLAN, plan, step, trial

REPORT = {
    "id": "drill-batam-3",
    "verdict": "passed",
    "markdown": "# Drill of batam: passed\n\n| a\x1b[2J |\n",
}
SITE = {
    "site": "batam",
    "schedule": "0 3 1 * * UTC",
    "next_at": "2026-12-01T03:00:00.000Z",
    "overdue": True,
    "skipped": "caution is on at batam",
}


def test_a_report_is_markdown_and_a_drill_that_failed_ends_with_3(
    stub: Stub, saling: Saling, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def drill(_client: Client, name: str) -> dict[str, Any]:
        asked.append(name)
        return REPORT if name == "last" else REPORT | {"verdict": "failed"}

    monkeypatch.setattr(Client, "drill", drill)
    run = saling("drill", "--report")
    assert (run.code, run.out.strip()) == (0, "# Drill of batam: passed\n\n| a [2J |")
    assert saling("drill", "--report", "drill-batam-2").code == 3
    assert asked == ["last", "drill-batam-2"]


def test_a_drill_that_found_nothing_to_do_shows_no_other_one_s_report(
    stub: Stub, saling: Saling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "drill", lambda _self, _name: pytest.fail("asked for a report"))
    text = "nothing is to be done: no service has its primary at ikn"
    stub.dry_answer = (200, {"site": "ikn", "accepted": True, "text": text, "plan": ""})
    run = saling("drill", "ikn", "--yes", "--by", "siti")
    assert (run.code, run.out.strip()) == (0, text)


def test_a_drill_that_was_watched_shows_its_own_report(
    stub: Stub, saling: Saling, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def drill(_client: Client, name: str) -> dict[str, Any]:
        asked.append(name)
        return REPORT

    monkeypatch.setattr(Client, "drill", drill)
    stub.dry_answer = trial()
    stub.answers = [(200, {"site": "batam", "accepted": True, "text": "begins", "plan": PLAN})]
    stub.plans[f"plans/{PLAN}"] = [plan("done", step("paspor", "done"))]
    assert saling("drill", "batam", "--yes", "--by", "siti").code == 0
    assert asked == [PLAN]


def test_the_list_says_what_is_due_overdue_and_why_it_was_not_begun(
    stub: Stub, saling: Saling, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = {"id": "drill-batam-3", "site": "batam", "begun_at": "2026", "verdict": "failed"}
    monkeypatch.setattr(Client, "drills", lambda _self: {"sites": [SITE], "drills": [line]})
    run = saling("drill", "--list")
    assert run.code == 0
    assert "none passed yet, due 2026-12-01T03:00:00.000Z, OVERDUE" in run.out
    assert "not begun: caution is on at batam" in run.out
    assert "drill-batam-3  failed" in run.out


def test_without_a_site_nothing_is_done(stub: Stub, saling: Saling) -> None:
    run = saling("drill")
    assert run.code == 2
    assert "name a SITE to drill" in run.err
    assert stub.asked == []


def test_status_warns_of_a_drill_that_is_overdue(stub: Stub, saling: Saling) -> None:
    stub.state["drills"] = [SITE]
    run = saling("status")
    told = " ".join(run.out.split())
    assert "a drill of batam is overdue: none passed yet; `saling drill batam`" in told


WHY = "a drill of batam is overdue: none passed yet; `saling drill batam`"


def test_what_is_protected_and_not_drilled_is_told_first_and_ends_with_3(
    stub: Stub, saling: Saling
) -> None:
    stub.state = given.state(given.service(drilled=False, not_drilled=WHY))
    run = saling("status")
    assert "1 of 1 services protected, 1 of them but not drilled" in " ".join(run.out.split())
    assert run.code == 3
    narrow = saling("status", "paspor")
    assert f"protected, but not drilled: {WHY}" in " ".join(narrow.out.split())
    assert narrow.code == 3


def test_where_no_drill_is_scheduled_nothing_is_said_of_it(stub: Stub, saling: Saling) -> None:
    run = saling("status")
    assert (run.code, "drilled" in run.out) == (0, False)
