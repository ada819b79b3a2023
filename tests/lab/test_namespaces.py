"""Without root there are no namespaces, and the lab says so before it starts anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.base.geography import CLIENTS, ROUND_TRIPS_MS
from lab.base.plan import Plan, Service
from lab.roads.control import LinksError
from lab.roads.namespaces import Namespaces, why_not


async def test_without_root_the_reason_is_told_and_nothing_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert why_not() == "network namespaces need root"
    net = Namespaces(tmp_path / "network", ROUND_TRIPS_MS)
    with pytest.raises(LinksError, match="need root"):
        await net.start()
    assert not net.router.running
    assert list(tmp_path.iterdir()) == []


def test_every_place_has_an_address_and_the_controllers_api_stays_on_loopback(
    tmp_path: Path,
) -> None:
    hosts = Namespaces(tmp_path, ROUND_TRIPS_MS).hosts
    assert CLIENTS in hosts
    assert len(set(hosts.values())) == len(hosts)
    plan = Plan(tmp_path, (Service("paspor", ("jabodetabek", "batam")),), hosts=hosts)
    for what, place in (
        ("engine paspor batam", "batam"),
        ("agent jabodetabek", "jabodetabek"),
        ("broker 1", "arbiter"),
    ):
        assert plan.address(what).rpartition(":")[0] == hosts[place]
    assert plan.address("controller").startswith("127.0.0.1:")
