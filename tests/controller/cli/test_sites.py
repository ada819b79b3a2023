"""Sites, links and the path matrix in `status` and `topology`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.controller.cli import given
from tests.controller.cli.conftest import Saling
from tests.controller.cli.stub import Stub

HEALTHY = {"health": "healthy", "because": "1 of 1 agents heard", "since_ago_ms": 90_000}
DISK = "disk: batam-1: 96.0 MiB free of 20.0 GiB"
WAY = {
    "from_site": "jabodetabek",
    "to_site": "batam",
    "answers": "reaches",
    "observers": 1,
    "reaching": 1,
    "asked": 20,
    "lost": 1,
    "round_trip_us": 18_400,
    "age_ms": 600,
}
LINK: dict[str, Any] = {
    "sites": ["jabodetabek", "batam"],
    "health": "up",
    "because": "round trip 18.4 ms, 1 of 40 probes lost of late",
    "since_ago_ms": 90_000,
    "shared_risk": ["java-bangka-batam"],
    "declared": [],
    "common_cause": [],
    "at_risk": ["paspor"],
}
CUT = LINK | {"health": "cut", "since_ago_ms": 12_000, "because": "both reached; shared risk: java"}


def state(batam: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Two sites that are judged."""
    made = given.state(given.service(), links=[LINK], paths=[WAY], **changes)
    made["sites"][0] |= HEALTHY
    made["sites"][1] |= HEALTHY | (batam or {})
    return made


def test_healthy_sites_are_not_talked_of_in_status(stub: Stub, saling: Saling) -> None:
    stub.state = state()
    run = saling("status")
    assert run.code == 0
    assert "HEALTHY" not in run.out and "link" not in run.out


@pytest.mark.parametrize("health", ["degraded", "cut off", "down"])
def test_a_site_that_is_not_well_is_told_with_its_sentence(
    stub: Stub, saling: Saling, health: str
) -> None:
    stub.state = state({"health": health, "because": DISK, "since_ago_ms": 200_000})
    run = saling("status")
    assert run.code == 3
    assert f"{health.upper()} for 3 min 20 s: {DISK}" in run.out


def test_an_unknown_site_is_told_and_degrades_nothing_by_itself(stub: Stub, saling: Saling) -> None:
    stub.state = state({"health": "unknown", "because": "not heard in the 2.0 s"})
    run = saling("status")
    assert run.code == 0
    assert "UNKNOWN for 1 min 30 s: not heard in the 2.0 s" in run.out


def test_what_a_site_leads_to_and_who_is_asked_to_be_ready(stub: Stub, saling: Saling) -> None:
    wish = {"service": "paspor", "consequence": "evacuate", "reasons": ["disk"], "because": "so"}
    stub.state = state({"health": "degraded", "because": DISK, "wished": [wish]})
    stub.state["sites"][0]["ready_for"] = "batam may need it: disk"
    run = saling("status")
    assert "leads to evacuate: paspor" in run.out
    assert "asked to be ready: batam may need it: disk" in run.out


def test_an_announced_absence_of_a_whole_site_degrades_nothing(stub: Stub, saling: Saling) -> None:
    stub.state = state({"health": "down", "because": "not heard"})
    announced = {
        "agent": given.SECOND,
        "by": "siti",
        "reason": "patches",
        "for_ms": 3_600_000,
        "left_ms": 3_000_000,
        "away": True,
        "may_stop": True,
        "as_announced": True,
    }
    stub.state["services"] = [given.service(phase="ALONE") | {"maintenance": announced}]
    assert saling("status").code == 0


def test_a_cut_link_is_told_and_degrades(stub: Stub, saling: Saling) -> None:
    stub.state = state() | {"links": [CUT]}
    run = saling("status")
    assert run.code == 3
    assert "link jabodetabek <-> batam CUT for 12.0 s: both reached; shared risk: java" in run.out


def test_a_blind_controller_says_so_at_the_top(stub: Stub, saling: Saling) -> None:
    stub.state = state()
    stub.state["controller"]["blind"] = "the controller hears 0 of 2 agents: it is probably blind"
    lines = saling("status").out.splitlines()
    assert any("hears 0 of 2 agents" in line for line in lines[:3])
    assert "controller PROBABLY BLIND: term 7" in lines[0]


def test_topology_draws_the_matrix_the_links_and_the_states(stub: Stub, saling: Saling) -> None:
    stub.state = state({"policy": {"disk": {"strategis": "evacuate", "rendah": "alarm"}}})
    run = saling("topology")
    assert all(words in run.out for words in ("18.4 ms", "5 % lost", "600 ms ago"))
    assert "link jabodetabek <-> batam up for 1 min 30 s: round trip 18.4 ms" in run.out
    flat = " ".join(run.out.replace("│", " ").split())
    assert "shared risk: java-bangka-batam; a cut puts at risk: paspor" in flat
    assert "policy: disk: strategis evacuate" in run.out


def test_topology_draws_each_declared_link_of_two_sites_with_its_shared_risk(
    stub: Stub, saling: Saling
) -> None:
    north = {"name": "north", "shared_risk": ["java-bangka-batam", "x"]}
    south = {"name": "south", "shared_risk": ["java-bangka-batam", "y"]}
    stub.state = state() | {"links": [LINK | {"declared": [north, south]}]}
    flat = " ".join(saling("topology").out.replace("│", " ").split())
    assert (
        "shared risk of its links north (java-bangka-batam, x) and south (java-bangka-batam, y): "
        "java-bangka-batam; a cut puts at risk: paspor" in flat
    )
    assert json.loads(saling("topology", "-o", "json").out)["links"][0]["declared"][1] == south


def test_a_controller_that_knows_no_declared_links_yet_is_understood(
    stub: Stub, saling: Saling
) -> None:
    older = {key: LINK[key] for key in LINK if key not in ("declared", "common_cause")}
    stub.state = state() | {"links": [older]}
    assert "shared risk: java-bangka-batam" in " ".join(saling("topology").out.split())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"answers": "does not reach", "reaching": 0, "age_ms": 12_000}, "DOES NOT REACH"),
        ({"answers": "not told", "observers": 0, "asked": 0, "age_ms": -1}, "not told"),
        ({"observers": 3, "reaching": 2, "asked": 60, "lost": 0}, "by 2 of 3"),
    ],
)
def test_a_way_says_what_is_found_there(
    stub: Stub, saling: Saling, change: dict[str, Any], words: str
) -> None:
    stub.state = state() | {"paths": [WAY | change]}
    assert words in saling("topology").out


def test_topology_as_json_has_it_all(stub: Stub, saling: Saling) -> None:
    stub.state = state({"reasons": ["disk"], "policy": {"disk": {"rendah": "alarm"}}})
    data = json.loads(saling("topology", "-o", "json").out)
    assert data["links"] == [LINK]
    assert data["paths"] == [WAY]
    batam = data["sites"][1]
    assert (batam["health"], batam["reasons"]) == ("healthy", ["disk"])
    assert batam["policy"] == {"disk": {"rendah": "alarm"}}


def test_a_controller_that_judges_no_sites_yet_is_understood(stub: Stub, saling: Saling) -> None:
    assert saling("topology").code == 0
    assert saling("status").code == 0
