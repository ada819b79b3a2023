"""The stages of sites, and when they are drilled, in a topology."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from config.problems import Problem
from config.validate import Report

Judge = Callable[[dict[str, Any] | str], Report]
Spoil = Callable[..., dict[str, Any]]
Said = Callable[[Report, str], Problem]


def test_a_retired_site_holds_no_replica(judge: Judge, topology: Spoil, said: Said) -> None:
    report = judge(topology({"sites.1.state": "retired"}))
    problem = said(report, "services[0].replicas[1].site")
    assert "no replica may stand there" in problem.message
    assert report.exit_code == 2


def test_a_service_whose_sites_are_all_planned_is_allowed_and_warned_of(
    judge: Judge, topology: Spoil
) -> None:
    report = judge(topology({"sites.0.state": "planned", "sites.1.state": "planned"}))
    assert report.exit_code == 0
    assert any("the service is not begun" in problem.message for problem in report.warnings)


@pytest.mark.parametrize(
    ("drill", "key", "message"),
    [
        ({"site": "barat", "schedule": "every monday"}, "schedule", "no time of cron"),
        ({"site": "barat", "schedule": "0 3 31 4 *"}, "schedule", "never comes"),
        ({"site": "barat", "schedule": "0 3 1 * * *"}, "schedule", "no time of cron"),
        ({"site": "barat", "schedule": "0 3 1 * *", "timezone": "Jakarta"}, "timezone", "zone"),
        ({"site": "selatan", "schedule": "0 3 1 * *"}, "site", "no such site"),
    ],
)
def test_a_drill_names_a_site_and_a_time(
    judge: Judge, topology: Spoil, said: Said, drill: dict[str, str], key: str, message: str
) -> None:
    report = judge(topology({"drills": [drill]}))
    assert message in said(report, f"drills[0].{key}").message
    assert report.exit_code == 2


def test_a_drill_that_is_whole_is_taken(judge: Judge, topology: Spoil) -> None:
    drill = {"site": "barat", "schedule": "0 3 1 */3 *", "timezone": "Asia/Jakarta"}
    assert judge(topology({"drills": [drill], "drill_max_age": "720h"})).exit_code == 0
