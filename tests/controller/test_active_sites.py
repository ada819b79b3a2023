"""One, two, three and four active sites: the example with the others planned, or left out.

`tests/scenarios/from-one-site-to-four-by-reloads.txt` goes through all of them with agents.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from config.loader import load_topology
from config.topology import Topology
from config.validate import validate
from controller.core.configured import begun
from controller.core.events import ReportCame, Tick
from controller.core.model import State
from controller.core.site_model import Health, Stage
from controller.core.step import begin, found, step
from controller.specs import move_rules, nation, service_specs
from protocol.messages import Header, Report
from protocol.messages import Path as Way

SITES = ("jabodetabek", "batam", "ikn", "labuan-bajo")
BEGAN_MS = 1_000_000
COUNTS = pytest.mark.parametrize("count", [1, 2, 3, 4])


@pytest.fixture
def example(root: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(
        (root / "config" / "example" / "four-sites.yaml").read_text()
    )
    return loaded


def planned(example: dict[str, Any], count: int) -> dict[str, Any]:
    """Only the first sites are active; the others are declared, and not in use yet."""
    for site in example["sites"][count:]:
        site["state"] = "planned"
    return example


def left_out(example: dict[str, Any], count: int) -> dict[str, Any]:
    """Only the first sites are declared; who has no partner backs nobody up."""
    kept = SITES[:count]
    example["sites"] = [one for one in example["sites"] if one["id"] in kept]
    example["agents"] = [one for one in example["agents"] if one["site"] in kept]
    example["pairs"] = [one for one in example["pairs"] if set(one["sites"]) <= set(kept)]
    example["links"] = [one for one in example["links"] if set(one["between"]) <= set(kept)]
    for service in example["services"]:
        service["replicas"] = [one for one in service["replicas"] if one["site"] in kept]
        if len(service["replicas"]) < 2:
            service["protection"] = "async"
    example["services"] = [one for one in example["services"] if one["replicas"]]
    return example


SHAPES = pytest.mark.parametrize("shape", [planned, left_out])


def written(directory: Path, content: dict[str, Any]) -> Path:
    file = directory / "topology.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


@COUNTS
@SHAPES
def test_a_file_with_so_many_active_sites_loads(
    tmp_path: Path, example: dict[str, Any], shape: Any, count: int
) -> None:
    report = validate(written(tmp_path, shape(example, count)))
    assert report.exit_code == 0, report.text()


@COUNTS
@SHAPES
def test_so_many_active_sites_are_well_when_they_are_heard_and_nothing_is_moved(
    tmp_path: Path, example: dict[str, Any], shape: Any, count: int
) -> None:
    topology = load_topology(written(tmp_path, shape(example, count))).value
    state, decided = lived(topology, 30_000)
    active = SITES[:count]
    assert {state.nation.sites[name].health for name in active} == {Health.HEALTHY}
    rest = [site for name, site in state.nation.sites.items() if name not in active]
    assert {site.health for site in rest} <= {Health.UNKNOWN}
    assert len(state.nation.links) == count * (count - 1) // 2
    assert (state.nation.blind, state.plan, decided) == ("", None, [])
    primaries = {one.record.primary.removesuffix("-1") for one in state.services.values()}
    assert primaries == set(active)


def lived(topology: Topology, for_ms: int) -> tuple[State, list[str]]:
    """The first moments of a controller whose agents of active sites report and probe; what
    changed of any record."""
    specs = begun(service_specs(topology))
    records = {spec.uid: found(spec, 1) for spec in specs}
    state = begin(specs, records, 1, "g", BEGAN_MS, nation(topology))
    state = replace(state, move_rules=move_rules(topology))
    sites = state.nation.sites.values()
    agents = [a for one in sites if one.spec.stage is Stage.ACTIVE for a in one.spec.agents]
    for now_ms in range(BEGAN_MS, BEGAN_MS + for_ms, 500):
        for agent in agents:
            ways = tuple(Way(to, 20, 0, 18_000, 100) for to in agents if to != agent)
            header = Header("pdn", agent, "b", "i", 1)
            state, _ = step(state, ReportCame(Report(header, (), paths=ways)), now_ms)
        state, _ = step(state, Tick(), now_ms)
    changed = [uid for uid, one in state.services.items() if one.record != records[uid]]
    return state, changed
