"""Feeds and cautions over the HTTP API: documents, a person's word, who may, what is shown."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from config.hazards import Hazards
from config.topology import OperatorRole, Topology
from controller.core.sites import cautions
from controller.hazards.desk import HazardDesk
from controller.hazards.metrics import HazardCollector
from controller.web import hazards as hazards_module
from controller.web.app import create_app
from controller.web.callers import Caller
from controller.web.hazards import HazardRoutes
from protocol.messages import Mode
from tests.controller.desk import Desk
from tests.controller.hazards.documents import autogempa, iso

HOUR_MS = 3_600_000
CALLERS = (
    Caller("siti", OperatorRole.OPERATOR, "token-of-siti"),
    Caller("pager", OperatorRole.ALARM, "token-of-pager"),
    Caller("dashboard", OperatorRole.VIEWER, "token-of-dashboard"),
)
FEEDS = {
    "feeds": [{"name": "bmkg", "format": "bmkg"}],
    "quakes": [{"magnitude": 5.0, "within_km": 500.0, "for": "6h"}],
}
Client = TestClient[Any, Any]


class Given:
    """A client, and the controller behind it."""

    def __init__(self, client: Client, desk: Desk, hazards: HazardDesk) -> None:
        self.client, self.desk, self.hazards = client, desk, hazards

    async def post(self, path: str, body: Any, who: str = "siti") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer token-of-{who}"}
        sent = {"data": body} if isinstance(body, bytes) else {"json": body}
        answer = await self.client.post(f"/api/v1/{path}", headers=headers, **sent)
        return answer.status, await answer.json()

    async def get(self, path: str) -> Any:
        headers = {"Authorization": "Bearer token-of-dashboard"}
        async with self.client.get(f"/api/v1/{path}", headers=headers) as answer:
            assert answer.status == 200
            return await answer.json()

    def on(self, site: str = "batam") -> list[str]:
        return [c.text for c in cautions.at(self.desk.state.nation, site)]


@pytest.fixture
async def given(turning: Desk) -> AsyncIterator[Given]:
    def topology() -> Topology:
        declared = turning.runtime.status.topology
        return declared.model_copy(update={"hazards": Hazards.model_validate(FEEDS)})

    hazards = HazardDesk(topology, turning.runtime.submit, lambda: turning.now_ms)
    more = HazardRoutes(turning.runtime, hazards).routes()
    app = create_app(turning.runtime, "1.0", lambda: b"", None, CALLERS, more)
    client: Client = TestClient(TestServer(app))
    await client.start_server()
    yield Given(client, turning, hazards)
    await client.close()


def document(given: Given, **changes: Any) -> bytes:
    """An earthquake of a minute ago beneath batam."""
    site = next(s for s in given.desk.runtime.status.topology.sites if s.id == "batam")
    place = f"{site.location.latitude},{site.location.longitude}"
    at = iso(time.time_ns() // 1_000_000 - 60_000)
    return autogempa(**({"Coordinates": place, "DateTime": at} | changes))


async def test_a_posted_document_puts_the_sites_in_reach_under_caution(given: Given) -> None:
    status, answer = await given.post("hazards/bmkg", document(given), "pager")
    assert status == 200
    assert answer["source"] == "BMKG"
    assert answer["entries"]["caution"] == 1
    assert [c["site"] for c in answer["cautions"]] == ["batam"]
    (text,) = given.on()
    assert "M 6.3" in text


async def test_what_is_on_is_shown_with_its_source_and_raises_readiness(given: Given) -> None:
    await given.post("hazards/bmkg", document(given), "pager")
    shown = await given.get("hazards")
    assert [feed["name"] for feed in shown["feeds"]] == ["bmkg"]
    (caution,) = shown["cautions"]
    assert (caution["site"], caution["source"]) == ("batam", "BMKG")
    assert 0 < caution["left_ms"] <= 6 * HOUR_MS
    state = await given.get("state")
    assert [s["id"] for s in state["sites"] if s["cautions"]] == ["batam"]
    assert "(BMKG)" in state["services"][0]["readiness"]


async def test_metrics_count_cautions_and_entries(given: Given) -> None:
    await given.post("hazards/bmkg", document(given), "pager")
    collector = HazardCollector(given.hazards, lambda: given.desk.runtime.status)
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in collector.collect()
        for sample in family.samples
    }
    assert found["saling_site_cautions", "batam"] == 1
    assert found["saling_hazard_entries_total", "bmkg", "caution"] == 1
    assert found["saling_hazard_entries_total", "bmkg", "malformed"] == 0
    assert found["saling_hazard_documents_total", "bmkg", "understood"] == 1
    assert found["saling_hazard_feed_age_seconds", "bmkg"] == 0
    assert found["saling_hazard_feed_stale", "bmkg"] == 0


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 422), (b"<html>", 422), (b'{"Infogempa": {}}', 422)]
)
async def test_what_is_no_document_is_refused_and_changes_nothing(
    given: Given, body: bytes, status: int
) -> None:
    before = given.desk.state.nation.cautions
    code, answer = await given.post("hazards/bmkg", body, "pager")
    assert (code, bool(answer["error"]), bool(answer["mend"])) == (status, True, True)
    assert given.desk.state.nation.cautions == before


async def test_a_document_may_be_larger_than_other_bodies_and_not_boundless(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = document(given) + b" " * 200_000
    assert (await given.post("hazards/bmkg", long, "pager"))[0] == 200
    monkeypatch.setattr(hazards_module, "DOCUMENT_AT_MOST_BYTES", 100_000)
    assert (await given.post("hazards/bmkg", long, "pager"))[0] == 413


async def test_an_unknown_feed_and_an_unknown_site_are_named(given: Given) -> None:
    code, answer = await given.post("hazards/other", document(given))
    assert (code, "bmkg" in answer["mend"]) == (404, True)
    code, answer = await given.post("sites/atlantis/caution", {"reason": "x", "for_ms": HOUR_MS})
    assert (code, "batam" in answer["mend"]) == (404, True)


@pytest.mark.parametrize(
    ("who", "path", "status"),
    [
        ("pager", "hazards/bmkg", 422),
        ("pager", "sites/batam/caution", 403),
        ("dashboard", "hazards/bmkg", 403),
        ("dashboard", "sites/batam/caution", 403),
        ("nobody", "hazards/bmkg", 401),
    ],
)
async def test_who_may_say_it(given: Given, who: str, path: str, status: int) -> None:
    assert (await given.post(path, {}, who))[0] == status


async def test_a_person_sets_and_ends_a_caution(given: Given) -> None:
    body = {"reason": "flood", "for_ms": HOUR_MS}
    status, answer = await given.post("sites/batam/caution", body)
    assert (status, answer["accepted"], "flood (siti)" in answer["text"]) == (200, True, True)
    assert given.on() == ["flood"]
    status, answer = await given.post("sites/batam/caution-end", {"reason": "dry again"})
    assert (status, answer["text"]) == (200, "the caution at batam ended")
    assert given.on() == []


async def test_a_caution_that_finds_no_place_is_refused_with_the_mend(given: Given) -> None:
    for number in range(16):
        body: dict[str, Any] = {"volcano": f"m{number}", "level": 2}
        assert (await given.post("sites/batam/caution", body))[0] == 200
    body = {"reason": "flood", "for_ms": 9 * HOUR_MS}
    status, answer = await given.post("sites/batam/caution", body)
    assert (status, answer["site"]) == (412, "batam")
    assert "no more cautions are kept at batam" in answer["refused"]
    assert "saling caution end batam" in answer["unmet"][0]
    assert len(given.on()) == 16


async def test_a_volcanos_level_begins_rises_and_ends_one_caution(given: Given) -> None:
    for level in (2, 4):
        body = {"volcano": "Ili  Lewotolok", "level": level}
        assert (await given.post("sites/batam/caution", body))[0] == 200
    assert given.on() == ["volcano Ili  Lewotolok is at level IV (Awas)"]
    status, _ = await given.post("sites/batam/caution", {"volcano": "ili lewotolok", "level": 1})
    assert (status, given.on()) == (200, [])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reason": "x"},
        {"for_ms": HOUR_MS},
        {"reason": "x", "for_ms": 1},
        {"reason": "x", "for_ms": 10**12},
        {"reason": "a\nb", "for_ms": HOUR_MS},
        {"volcano": "Ili"},
        {"level": 3},
        {"volcano": "Ili", "level": 5},
        {"volcano": "Ili", "level": 0},
        {"volcano": " ", "level": 3},
        {"volcano": "Ili", "level": "3"},
        {"volcano": "Ili", "level": 2.5},
        {"volcano": "Ili", "level": True},
        {"volcano": "Ili", "level": 10**40},
        {"volcano": "Ili\x00", "level": 3},
        {"volcano": "I" * 61, "level": 3},
        {"reason": "x", "for_ms": HOUR_MS, "site": "ikn"},
    ],
)
async def test_a_word_that_says_too_little_or_too_much_is_refused(
    given: Given, body: dict[str, Any]
) -> None:
    status, answer = await given.post("sites/batam/caution", body)
    assert (status, bool(answer["mend"])) == (422, True)
    assert given.on() == []


async def test_a_switchover_to_the_site_waits_for_a_person_who_says_despite_it(
    given: Given,
) -> None:
    await given.desk.protect()
    given.desk.healthy(Mode.LEASED)
    await given.post("sites/batam/caution", {"reason": "flood", "for_ms": HOUR_MS})
    path = "services/paspor/switchover"
    status, answer = await given.post(path, {"dry_run": True})
    assert status == 412
    assert "--despite-caution" in answer["unmet"][0]
    status, answer = await given.post(path, {"dry_run": True, "despite_caution": True})
    assert status == 200
    status, answer = await given.post("services/paspor/pause", {"despite_caution": True})
    assert (status, answer["where"]) == (422, "body: despite_caution")
