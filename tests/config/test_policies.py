"""What the reasons of a degraded site lead to: read, refused, doubted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from config.loader import load_topology
from config.moves import Moves
from config.policies import REASONS
from config.policy import Consequence
from config.problems import Problem, Severity
from config.tiers import TIERS
from config.validate import Report
from controller.core import site_model as model
from controller.core.plan_model import BY_POLICY_AT_MOST
from controller.core.sites.policy import DEFAULTS

Judge = Callable[[dict[str, Any] | str], Report]
Spoil = Callable[..., dict[str, Any]]
Said = Callable[[Report, str], Problem]


def test_one_consequence_stands_for_all_tiers(judge: Judge, topology: Spoil) -> None:
    report = judge(topology({"policy": {"disk": "evacuate", "latency": {"rendah": "alarm"}}}))
    assert not report.problems
    policy = load_topology(report.file).value.policy
    assert policy["disk"] == dict.fromkeys(TIERS, Consequence.EVACUATE)
    assert policy["latency"] == {"rendah": Consequence.ALARM}


@pytest.mark.parametrize(
    ("led", "message", "mend"),
    [
        ("explode", "nothing that a reason could lead to", "nothing, alarm, readiness"),
        (True, "nothing that a reason could lead to", "evacuate, failover"),
        ({"secret": "alarm"}, "'secret' is no tier", "strategis, tinggi, rendah"),
        ({"rendah": "flee"}, "nothing that a reason could lead to", "evacuate"),
    ],
)
def test_what_is_no_policy_is_refused(
    judge: Judge, topology: Spoil, said: Said, led: Any, message: str, mend: str
) -> None:
    problem = said(judge(topology({"policy": {"disk": led}})), "policy.disk")
    assert message in problem.message
    assert mend in problem.mend


def test_a_site_without_a_partner_cannot_be_evacuated(
    judge: Judge, topology: Spoil, said: Said
) -> None:
    alone = {"pairs": [], "services": [], "sites.0.policy": {"temperature": "evacuate"}}
    problem = said(judge(topology(alone)), "sites[0].policy.temperature")
    assert problem.severity is Severity.ERROR
    assert "no pair" in problem.message


def test_a_slip_and_a_move_that_does_no_good_are_doubted(
    judge: Judge, topology: Spoil, said: Said
) -> None:
    report = judge(topology({"policy": {"certificates": "alarm", "clock": "evacuate"}}))
    assert not report.errors
    slip, move = said(report, "policy.certificates"), said(report, "policy.clock")
    assert (slip.severity, slip.mend) == (Severity.WARNING, "write certificate, if that is meant")
    assert (move.severity, move.value) == (Severity.WARNING, '"evacuate"')


def test_a_check_of_the_sites_own_may_have_any_name(judge: Judge, topology: Spoil) -> None:
    assert not judge(topology({"policy": {"hall-2-water": "evacuate"}})).problems


def test_the_configuration_and_the_rules_mean_the_same() -> None:
    assert [str(one) for one in Consequence] == [str(one) for one in model.Consequence]
    assert set(REASONS) == set(DEFAULTS)


def test_the_budget_of_an_hour_is_never_more_than_is_remembered() -> None:
    assert Moves(per_hour=BY_POLICY_AT_MOST).per_hour == BY_POLICY_AT_MOST
    with pytest.raises(ValidationError):
        Moves(per_hour=BY_POLICY_AT_MOST + 1)
