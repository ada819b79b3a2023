"""The example is whole, and the schemas that it references are fresh."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from config.loader import load_agent, load_topology
from config.schema import DIRECTORY, SCHEMAS, schema_text
from config.validate import validate


@pytest.fixture
def example(root: Path) -> Path:
    """The directory of the examples."""
    return root / "config" / "example"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("four-sites.yaml", "topology"), ("agent.yaml", "agent"), ("checks.yaml", "checks")],
)
def test_examples_load_without_a_warning(example: Path, name: str, kind: str) -> None:
    """What people start from is right."""
    report = validate(example / name)
    assert report.problems == ()
    assert (report.kind, report.exit_code) == (kind, 0)


def test_the_four_sites_back_each_other_up(example: Path) -> None:
    """Each is primary for some services and backup for as many of its partner's."""
    topology = load_topology(example / "four-sites.yaml").value
    assert {frozenset(pair.sites) for pair in topology.pairs} == {
        frozenset({"jabodetabek", "batam"}),
        frozenset({"ikn", "labuan-bajo"}),
    }
    primaries = Counter(service.by_priority[0].site for service in topology.services)
    backups = Counter(service.by_priority[1].site for service in topology.services)
    assert set(primaries) == set(backups) == {site.id for site in topology.sites}
    assert min(primaries.values()) >= 2 and min(backups.values()) >= 2


def test_the_example_controller_stands_apart(example: Path) -> None:
    """Losing any one site costs one grantor at most."""
    topology = load_topology(example / "four-sites.yaml").value
    assert topology.controller.failure_domain not in {site.id for site in topology.sites}


def test_the_two_examples_belong_together(example: Path) -> None:
    """The agent of the one is declared in the other, with the same services and ports."""
    topology = load_topology(example / "four-sites.yaml").value
    agent = load_agent(example / "agent.yaml").value
    assert agent.cluster == topology.cluster.uid
    assert agent.controller_public_key == topology.controller.public_key
    assert agent.site == topology.agent(agent.agent).site
    declared = {
        service.name: replica.address.rpartition(":")[2]
        for service in topology.services
        for replica in service.replicas
        if replica.agent == agent.agent
    }
    assert declared == {s.name: s.listen.rpartition(":")[2] for s in agent.services}


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_schemas_are_fresh_and_referenced(example: Path, name: str) -> None:
    """`make schema` writes them anew."""
    assert (DIRECTORY / name).read_text(encoding="utf-8") == schema_text(name)
    first_lines = [file.read_text(encoding="utf-8").splitlines()[0] for file in example.iterdir()]
    assert f"# yaml-language-server: $schema=../schema/{name}" in first_lines


def test_schemas_allow_no_unknown_key() -> None:
    """An editor marks a slip of the finger at once."""
    for name in SCHEMAS:
        schema = json.loads(schema_text(name))
        objects = [schema, *schema["$defs"].values()]
        assert all(
            part["additionalProperties"] is False for part in objects if "properties" in part
        )
