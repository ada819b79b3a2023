"""How sites, links and ways stand in GET /api/v1/state."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from controller.cli.wire import StateView
from controller.core.model import State
from controller.core.site_model import AgentSeen, Consequence, LinkSpec, Nation, Stage
from controller.core.sites.hearing import attentive
from controller.core.sites.judge import judged
from controller.specs import nation
from controller.status import Status
from controller.web.views import state_view
from protocol.messages import Path, Symptom
from tests.controller.cluster import Cluster

NOW = 1_000_000
DISK = (Symptom("disk", "/srv: 96.0 MiB free"),)


def judged_for(known: Nation, for_ms: int) -> Nation:
    """Both sites are heard all the while, and batam tells of its disk."""
    now_ms = known.began_ms
    while now_ms < known.began_ms + for_ms:
        now_ms += 500
        there = AgentSeen(now_ms, paths=(Path("jabodetabek-1", 20, 1, 18_000, 100),), symptoms=DISK)
        here = AgentSeen(now_ms, paths=(Path("batam-1", 20, 0, 18_400, 200),))
        known = replace(known, agents={"batam-1": there, "jabodetabek-1": here})
        known, _ = judged(known, (), now_ms)
    return known


@pytest.fixture
def shown(cluster: Cluster) -> dict[str, Any]:
    declared = (LinkSpec(("jabodetabek", "batam"), "palapa", ("strait",)),)
    known = replace(nation(cluster.topology), link_specs=declared)
    known = judged_for(attentive(known, NOW), 10_000)
    status = Status(
        topology=cluster.topology,
        state=State(1, "g", {}, known),
        now_ms=NOW + 10_100,
        started_at_ms=0,
        heard_ms={},
        brokers=(),
        store_kind="sqlite",
        store_problem="",
        broken_records={},
        journal_errors=0,
        journal_problem="",
        waiting=0,
        dropped={},
        rule_errors=0,
    )
    told: dict[str, Any] = json.loads(msgspec.json.encode(state_view(status, "1.0")))
    return told


def test_a_site_is_shown_with_its_sentence_its_signs_and_its_policy(shown: dict[str, Any]) -> None:
    batam, jabodetabek = shown["sites"]
    assert (batam["health"], batam["reasons"]) == ("degraded", ["disk"])
    assert batam["because"] == "disk: batam-1: /srv: 96.0 MiB free"
    assert batam["policy"]["disk"]["rendah"] == Consequence.READINESS
    (sign,) = batam["signs"]
    assert (sign["kind"], sign["agents"], sign["counts"]) == ("disk", ["batam-1"], True)
    assert jabodetabek["health"] == "healthy"
    assert jabodetabek["since_ago_ms"] > 0
    assert shown["controller"]["blind"] == ""


def test_links_and_ways_are_shown(shown: dict[str, Any]) -> None:
    (link,) = shown["links"]
    assert (link["sites"], link["health"]) == (["batam", "jabodetabek"], "up")
    assert link["declared"] == [{"name": "palapa", "shared_risk": ["strait"]}]
    assert (link["shared_risk"], link["common_cause"]) == (["strait"], [])
    way = next(one for one in shown["paths"] if one["from_site"] == "batam")
    assert (way["to_site"], way["answers"], way["lost"]) == ("jabodetabek", "reaches", 1)
    assert (way["round_trip_us"], way["age_ms"]) == (18_000, 200)


def test_the_command_reads_what_is_shown(shown: dict[str, Any]) -> None:
    view = msgspec.convert(shown, StateView)
    assert view.sites[0].health == "degraded"
    assert view.links[0].sites == ("batam", "jabodetabek")
    assert view.links[0].declared[0].name == "palapa"
    assert Stage.ACTIVE.value == view.sites[0].state
