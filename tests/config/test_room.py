"""A configuration that could never carry a site's loss is refused, with the arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from config.problems import Problem
from config.validate import Report

Judge = Callable[[dict[str, Any] | str], Report]
Spoil = Callable[..., dict[str, Any]]
Said = Callable[[Report, str], Problem]

DEMANDS = {"services.0.demand": {"vcpu": 20}, "services.1.demand": {"vcpu": 12.5}}
PAJAK_AT_TIMUR = [
    {"site": "timur", "priority": 1, "address": "127.0.0.2:5433"},
    {"site": "barat", "priority": 2, "address": "127.0.0.1:5433"},
]


def test_a_partner_that_can_carry_everything_is_fine(judge: Judge, topology: Spoil) -> None:
    assert not judge(topology(DEMANDS | {"sites.1.capacity": {"vcpu": 32.5}})).problems


def test_a_partner_that_is_too_small_is_refused_with_the_arithmetic(
    judge: Judge, topology: Spoil, said: Said
) -> None:
    small = {"sites.1.capacity": {"vcpu": 30}, "services.1.replicas": PAJAK_AT_TIMUR}
    problem = said(judge(topology(DEMANDS | small)), "sites[1].capacity.vcpu")
    assert problem.message == (
        "when its partner is lost it has to carry 32.5 vcpu and has 30: 12.5 of its own (pajak "
        "12.5), and 20 that come (paspor 20)"
    )
    assert problem.mend.endswith("what is not carried then: `gives_up: [paspor]`")


def test_what_is_given_up_is_not_counted(judge: Judge, topology: Spoil) -> None:
    named = {"sites.1.capacity": {"vcpu": 20}, "sites.1.gives_up": ["pajak"]}
    assert not judge(topology(DEMANDS | named)).problems


def test_a_site_that_cannot_carry_its_own_has_nothing_to_give_up(
    judge: Judge, topology: Spoil, said: Said
) -> None:
    problem = said(
        judge(topology(DEMANDS | {"sites.0.capacity": {"vcpu": 10}})), "sites[0].capacity.vcpu"
    )
    assert "32.5 of its own (paspor 20, pajak 12.5) and has 10 vcpu" in problem.message


@pytest.mark.parametrize("name", ["pajakk", "visa"])
def test_only_what_could_come_is_given_up(
    judge: Judge, topology: Spoil, said: Said, name: str
) -> None:
    named = {"sites.1.capacity": {"vcpu": 40}, "sites.1.gives_up": [name]}
    problem = said(judge(topology(DEMANDS | named)), "sites[1].gives_up")
    assert problem.mend == "name only what can come here: paspor, pajak"


def test_nothing_is_given_up_where_no_capacity_is_declared(
    judge: Judge, topology: Spoil, said: Said
) -> None:
    problem = said(judge(topology({"sites.1.gives_up": ["pajak"]})), "sites[1].gives_up")
    assert "declare the capacity" in problem.mend


def test_a_service_without_a_demand_is_warned_of_where_room_is_limited(
    judge: Judge, topology: Spoil, said: Said
) -> None:
    some = {"services.0.demand": {"vcpu": 20}, "sites.1.capacity": {"vcpu": 32}}
    report = judge(topology(some))
    assert not report.errors
    assert said(report, "services[1].demand").message.startswith("timur declare")


def test_who_waits_in_its_group_for_a_slower_one_is_warned_of(
    judge: Judge, topology: Spoil, said: Said
) -> None:
    group = {
        "services.0.group": "imigrasi",
        "services.0.order": 1,
        "services.0.lease_profile": "patient",
        "services.1.group": "imigrasi",
        "services.1.order": 2,
        "services.1.lease_profile": "fast",
    }
    report = judge(topology(group))
    assert not report.errors
    assert "it waits for paspor" in said(report, "services[1].order").message


def test_what_is_retired_needs_no_room_waits_for_nobody_and_may_still_be_given_up(
    judge: Judge, topology: Spoil
) -> None:
    retired = {"services.0.state": "retired", "sites.1.capacity": {"vcpu": 12.5}}
    assert not judge(topology(DEMANDS | retired)).problems
    assert not judge(topology(DEMANDS | retired | {"sites.1.gives_up": ["paspor"]})).problems
    without = {"services.1.demand": {"vcpu": 12.5}}
    assert not judge(topology(without | retired)).problems


def test_nobody_waits_in_its_group_for_a_retired_one(judge: Judge, topology: Spoil) -> None:
    group = {
        "services.0.state": "retired",
        "services.0.group": "imigrasi",
        "services.0.order": 1,
        "services.0.lease_profile": "patient",
        "services.1.group": "imigrasi",
        "services.1.order": 2,
        "services.1.lease_profile": "fast",
    }
    assert not judge(topology(group)).problems
