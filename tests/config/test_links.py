"""Declared links between sites: read, refused, told apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from config.loader import load_topology
from config.problems import Problem
from config.validate import Report

Judge = Callable[[dict[str, Any] | str], Report]
Spoil = Callable[..., dict[str, Any]]
Said = Callable[[Report, str], Problem]


def link(*between: Any, **more: Any) -> dict[str, Any]:
    return {"between": list(between), "shared_risk_links": ["palapa-ring"], **more}


def test_several_links_of_one_pair_are_told_apart_by_their_names(
    judge: Judge, topology: Spoil
) -> None:
    links = [link("barat", "timur"), link("timur", "barat", name="north"), link("barat", "utara")]
    report = judge(topology({"links": links}))
    assert not report.problems
    read = load_topology(report.file).value.links
    assert [(one.between, one.name) for one in read] == [
        (("barat", "timur"), ""),
        (("timur", "barat"), "north"),
        (("barat", "utara"), ""),
    ]
    assert read[0].shared_risk_links == ("palapa-ring",)


def test_links_need_not_be_declared(judge: Judge, topology: Spoil) -> None:
    for spoilt in (topology(), topology({"links": []})):
        report = judge(spoilt)
        assert load_topology(report.file).value.links == ()


@pytest.mark.parametrize(
    ("declared", "path", "message", "mend"),
    [
        (link("barat", "timor"), "between[1]", "no such site", "did you mean timur?"),
        (link("barat", "barat"), "between", "leads from barat to itself", "two different sites"),
        (link("barat"), "between", "at least 2", "add"),
        (link(), "between", "at least 2", "add"),
        (link("barat", "timur", "utara"), "between", "at most 2", "take some out"),
        (link("barat", None), "between[1]", "blank", "use 1 to 63"),
        (link("barat", False), "between[1]", "YAML reads this as false", "quotes"),
        (link("barat", "timur", shared_risk_links=[]), "shared_risk_links", "at least 1", "add"),
        (link("barat", "timur", shared_risk_links="x"), "shared_risk_links", "a list", "- ..."),
        ({"between": ["barat", "timur"]}, "shared_risk_links", "absent", "shared_risk_links"),
        (link("barat", "timur", name="Two Words"), "name", "", ""),
        (link("barat", "timur", risk=["x"]), "risk", "unknown key", ""),
    ],
)
def test_a_link_that_cannot_be_is_refused_with_a_mend(
    judge: Judge, topology: Spoil, said: Said, declared: Any, path: str, message: str, mend: str
) -> None:
    report = judge(topology({"links": [declared]}))
    problem = said(report, f"links[0].{path}")
    assert message in problem.message
    assert mend in problem.mend
    assert report.exit_code == 2


@pytest.mark.parametrize("name", ["north", ""])
def test_two_links_that_nobody_could_tell_apart_are_refused(
    judge: Judge, topology: Spoil, said: Said, name: str
) -> None:
    named = {"name": name} if name else {}
    links = [link("barat", "timur", **named), link("timur", "barat", **named)]
    report = judge(topology({"links": links}))
    problem = said(report, "links[1].name")
    assert "between barat and timur, first in line" in problem.message
    assert "a name of its own" in problem.mend


@pytest.mark.parametrize("odd", [5, "barat", [["barat", "timur"]], [None], {"between": []}])
def test_links_of_another_form_are_refused_and_break_nothing(
    judge: Judge, topology: Spoil, odd: Any
) -> None:
    report = judge(topology({"links": odd}))
    assert report.exit_code == 2
    assert all(problem.path.startswith("links") for problem in report.problems)
