"""How the rows of `lab.sites` are judged: what they were told, not what they hoped for."""

from __future__ import annotations

from typing import Any

import pytest

from lab.base.plan import Service
from lab.sites import DEGRADED, ROWS, _may_follow, _reason
from lab.whole.degraded import _is_told, _not_once
from lab.whole.drilled import _against_the_report
from lab.whole.moved import bounded
from lab.whole.partner import _against_the_plan, _mute
from lab.whole.told import Told
from tests.lab.costs import cost

HERE = [Service("paspor", ("jabodetabek", "batam"))]
MOVED = {"status": "done", "outage_ms": 900}


def result(**figures: Any) -> dict[str, Any]:
    one = {"service": "paspor", "away": MOVED, "back": MOVED, "rpo_ms": 0, **figures}
    return {"services": [one], "markdown": "| paspor | strategis |"}


def test_a_plan_that_runs_on_or_stands_still_without_a_word_is_told() -> None:
    assert _against_the_plan({"id": "p", "status": "running", "because": "it runs"})
    assert _against_the_plan({"id": "p", "status": "waiting", "because": ""})
    assert not _against_the_plan({"id": "p", "status": "waiting", "because": "for a backup"})
    assert not _against_the_plan({"id": "p", "status": "done", "because": "all are there"})


def test_a_plan_that_runs_says_why_of_each_step_that_was_asked_for() -> None:
    def plan(status: str, **step: Any) -> dict[str, Any]:
        one = {"service": "paspor", "status": "moving", "tries": 1, "because": "it drains", **step}
        return {"id": "p", "status": status, "because": "", "steps": [one]}

    assert _mute(None) == _mute(plan("running")) == []
    assert _mute(plan("running", tries=0, because="")) == []
    assert _mute(plan("running", because=""))
    assert _mute(plan("waiting"))


@pytest.mark.parametrize(("outage_s", "in_time"), [(2.0, "yes"), (2.1, "no")])
def test_a_planned_move_says_whether_the_median_outage_kept_its_bound(
    outage_s: float, in_time: str
) -> None:
    told = bounded(Told("evacuate", (cost(moved=True, outage_s=outage_s),)))
    assert bool(told.late) == (in_time == "no")
    assert told.in_time() == f"{in_time}: median outage <= 2 s"
    assert Told("one link cut", ()).in_time() == "-"


def test_a_degraded_site_is_left_once_for_its_reason_and_all_of_it() -> None:
    plan = {"id": "p", "status": "done", "because": "", "reason": "it is degraded (disk: full)"}
    assert _not_once([plan], "disk") == []
    assert _not_once([], "disk")
    assert _not_once([plan, plan], "disk")
    assert _not_once([plan], "latency")
    assert _not_once([{**plan, "status": "waiting"}], "disk")


def test_a_row_has_a_lab_in_which_a_site_is_left_for_its_reason_and_was_not_left_yet() -> None:
    assert [_reason(name) for name in DEGRADED] == ["power", "disk", "latency"]
    assert _may_follow("degraded", ["link-cut"])
    assert _may_follow("partner-fails", ["degraded"])
    assert not _may_follow("degraded", ["degraded", "drill"])
    assert not _may_follow("degraded-disk", ["degraded"])
    assert not _may_follow("drill", ["degraded-disk"])
    assert all(_may_follow(name, []) for name in ROWS)


@pytest.mark.parametrize(
    "figures",
    [{"away": None}, {"back": {"status": "to do"}}, {"rpo_ms": 3}, {"service": "pajak"}],
)
def test_a_drill_whose_report_lacks_a_move_or_a_service_or_tells_of_a_loss_is_broken(
    figures: dict[str, Any],
) -> None:
    assert _against_the_report(result(**figures), HERE)
    assert not _against_the_report(result(), HERE)


def test_a_failing_power_is_told_once_it_counts_and_its_return_once_nobody_speaks_of_it() -> None:
    fresh = {"kind": "power", "last_seen_ago_ms": 100, "counts": True}
    assert _is_told([fresh], ails=True)
    assert not _is_told([{**fresh, "counts": False}], ails=True)
    assert not _is_told([fresh], ails=False)
    assert _is_told([], ails=False)
    assert not _is_told([], ails=True)
    assert _is_told([{**fresh, "last_seen_ago_ms": 5000}], ails=False)
