"""How the rows of `lab.sites` are judged: what they were told, not what they hoped for."""

from __future__ import annotations

from typing import Any

import pytest

from lab.plan import Service
from lab.site_degraded import _is_told
from lab.site_drilled import _against_the_report
from lab.site_partner import _against_the_plan

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
    assert _is_told([fresh], fails=True)
    assert not _is_told([{**fresh, "counts": False}], fails=True)
    assert not _is_told([fresh], fails=False)
    assert _is_told([], fails=False)
    assert not _is_told([], fails=True)
    assert _is_told([{**fresh, "last_seen_ago_ms": 5000}], fails=False)
