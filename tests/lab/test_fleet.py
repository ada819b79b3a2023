"""Twelve services and their writers: the plan is what whole sites are tried with."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from config.loader import load_topology
from lab.base.database import Login
from lab.base.keys import make_keys
from lab.base.plan import write_topology
from lab.clients.writer import Target, WriterSpec
from lab.clients.writers import WritersSpec
from lab.whole.told import Told, against_every_promise
from lab.whole.twelve import GROUPS, PARTNER, SITE, TWELVE_SERVICES, twelve
from tests.lab.costs import cost


def test_one_site_is_primary_for_six_and_every_site_for_some() -> None:
    primaries = Counter(service.sites[0] for service in TWELVE_SERVICES)
    assert primaries == {SITE: 6, PARTNER: 2, "ikn": 2, "labuan-bajo": 2}
    assert {service.protection for service in TWELVE_SERVICES} == {"sync", "async"}
    assert {service.tier for service in TWELVE_SERVICES} == {"strategis", "tinggi", "rendah"}


def test_the_controller_takes_the_plan_with_groups_in_their_order(tmp_path: Path) -> None:
    plan = twelve(tmp_path, "power")
    write_topology(plan, make_keys(tmp_path / "keys", plan.agents, {}))
    topology = load_topology(plan.topology_file).value
    orders = {service.name: service.order or 0 for service in topology.services}
    for group in GROUPS:
        assert sorted(group, key=orders.__getitem__) == list(group)
    shared = {site.id: site.shared_risk_links for site in topology.sites}
    assert set(shared["jabodetabek"]) & set(shared["batam"])


def test_a_service_has_one_writer() -> None:
    spec = WriterSpec("paspor", Login("postgres", "lab"), (Target("batam", "127.0.0.1:1"),))
    with pytest.raises(ValueError, match="more than one for paspor"):
        WritersSpec((spec, spec))


def test_a_loss_in_sync_mode_two_writers_and_a_refusal_elsewhere_break_promises() -> None:
    costs = [
        cost("a", acked_lost=1),
        cost("b", acked_lost=1, protection="sync"),
        cost("c", two_writers_s=0.2),
        cost("d", refused=1),
        cost("e", refused=1),
    ]
    assert against_every_promise(costs, may_refuse=("e",)) == [
        "b: 1 acknowledged writes are lost",
        "c: two writers for 0.2 s",
        "d: its primary refused 1 writes",
    ]


def test_the_median_is_that_of_the_services_that_moved() -> None:
    costs = (cost(outage_s=9), cost(moved=True, outage_s=1), cost(moved=True, outage_s=3))
    assert Told("evacuation", costs).median_outage_s() == 2
    assert Told("link cut", (cost(),)).median_outage_s() == -1
