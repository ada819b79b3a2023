"""From the configuration to what the rules need."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from config.leases import PROFILES
from config.loader import load_topology
from controller.core.model import Phase
from controller.core.site_model import Health, Load
from controller.core.step import found
from controller.specs import RecordUnfit, nation, require_fit, service_specs
from tests.controller.cluster import Cluster


def test_the_preferred_replica_is_the_first_primary(cluster: Cluster) -> None:
    topology = cluster.topology
    paspor, pajak = service_specs(topology)
    assert [r.agent for r in paspor.replicas] == ["jabodetabek-1", "batam-1"]
    assert [r.agent for r in pajak.replicas] == ["batam-1", "jabodetabek-1"]
    assert paspor.terms == PROFILES["fast"]
    first = paspor.replicas[0]
    assert first.engine_address == "127.0.0.1:40001"
    assert first.agent_address == topology.agent("jabodetabek-1").address
    assert first.public_key == topology.agent("jabodetabek-1").public_key
    assert paspor.tier == "tinggi"
    assert paspor.report_interval_ms == 500


def test_a_record_whose_primary_is_not_declared_any_more_is_refused(cluster: Cluster) -> None:
    spec, _ = service_specs(cluster.topology)
    record = found(spec, 1)
    require_fit(spec, record)
    with pytest.raises(RecordUnfit, match=r"paspor.*primary.*ikn-1.*declare it again"):
        require_fit(spec, replace(record, primary="ikn-1"))
    armed = replace(record, phase=Phase.PROTECTED, backup_key="an old machine's")
    with pytest.raises(RecordUnfit, match=r"batam-1 has the public key an old machine's"):
        require_fit(spec, armed)


def test_the_nation_is_what_is_declared_and_nothing_was_heard(cluster: Cluster) -> None:
    known = nation(cluster.topology)
    assert known.home == "arbiter"
    assert list(known.sites) == ["batam", "jabodetabek"]
    batam = known.sites["batam"]
    assert (batam.spec.agents, batam.spec.partner) == (("batam-1",), "jabodetabek")
    assert batam.spec.capacity is None
    assert batam.health is Health.UNKNOWN
    assert known.addresses["batam-1"] == cluster.topology.agent("batam-1").address
    assert known.agents == {}


def test_group_order_and_demand_reach_the_rules_and_so_does_what_a_site_gives_up(
    root: Path,
) -> None:
    topology = load_topology(root / "config" / "example" / "four-sites.yaml").value
    visa = next(spec for spec in service_specs(topology) if spec.name == "visa")
    assert (visa.group, visa.order) == ("imigrasi", 2)
    assert visa.demand == Load(600, 4800, 1500, 2000)
    sites = nation(topology).sites
    assert sites["batam"].spec.capacity == Load(4600, 36800, 20000, 20000)
    assert sites["labuan-bajo"].spec.gives_up == ("arsip",)


def test_declared_links_reach_the_rules_in_the_order_of_the_file(root: Path) -> None:
    topology = load_topology(root / "config" / "example" / "four-sites.yaml").value
    north, south = nation(topology).link_specs
    assert north.sites == south.sites == ("jabodetabek", "ikn")
    assert (north.name, north.shared_risk) == ("java-sea", ("ancol-landing", "makassar-strait"))
