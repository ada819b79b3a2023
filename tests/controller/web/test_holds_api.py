"""Integrity holds over the HTTP API: by hand, of a scope, and by Alertmanager's webhook."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from controller.core.model import Hold
from controller.web.alarms import hear
from controller.web.app import create_app
from controller.web.intake import BODY_AT_MOST_BYTES
from protocol.messages import Mode
from tests.controller.desk import Desk

HOUR_MS = 3_600_000
ASKED = {"by": "siti", "reason": "files are encrypted", "for_ms": 2 * HOUR_MS}
Client = TestClient[Any, Any]


@pytest.fixture
async def client(turning: Desk) -> AsyncIterator[Client]:
    app = create_app(turning.runtime, "1.0", lambda: b"", None)
    one: Client = TestClient(TestServer(app))
    await one.start_server()
    await turning.protect()
    turning.healthy(Mode.LEASED)
    yield one
    await one.close()


async def post(
    client: Client, path: str, body: Any, key: str = "k1", **options: Any
) -> tuple[int, dict[str, Any]]:
    headers = {"Idempotency-Key": key}
    sent = {"data": body} if isinstance(body, bytes) else {"json": body}
    async with client.post(f"/api/v1/{path}", headers=headers, **sent, **options) as answer:
        return answer.status, await answer.json()


def alert(**changes: Any) -> dict[str, Any]:
    """As the documentation of Alertmanager's webhook shows it."""
    usual: dict[str, Any] = {
        "status": "firing",
        "labels": {"alertname": "FilesEncrypted", "saling_hold": "all", "severity": "critical"},
        "annotations": {"summary": "entropy of written files is rising on batam-fs-1"},
        "startsAt": "2026-11-30T02:10:00.000Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=up",
        "fingerprint": "c3f1a2b49d0e7788",
    }
    return usual | changes


def notification(*alerts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "version": "4",
        "groupKey": '{}:{alertname="FilesEncrypted"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "saling",
        "groupLabels": {"alertname": "FilesEncrypted"},
        "commonLabels": {"alertname": "FilesEncrypted"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": list(alerts) or [alert()],
    }
    return usual | changes


def labelled(hold: str, **more: str) -> dict[str, Any]:
    return alert(labels={"alertname": "FilesEncrypted", "saling_hold": hold, **more})


async def test_a_hold_is_stored_with_who_why_and_its_end_and_is_shown(
    client: Client, turning: Desk
) -> None:
    status, answer = await post(client, "services/paspor/hold", ASKED)
    assert status == 200
    assert "paspor is not moved, by itself or by anybody, until it ends" in answer["text"]
    stored = turning.store.records().records["paspor"]
    assert stored.hold == Hold("siti", "files are encrypted", "service", 2 * HOUR_MS)
    async with client.get("/api/v1/services/paspor/explain") as got:
        shown = (await got.json())["hold"]
    assert shown == {
        "by": "siti", "reason": "files are encrypted", "scope": "service",
        "for_ms": 2 * HOUR_MS, "left_ms": 2 * HOUR_MS,
    }  # fmt: skip


async def test_a_move_is_refused_meanwhile_and_accepted_after_the_release(
    client: Client, turning: Desk
) -> None:
    await post(client, "services/paspor/hold", ASKED)
    turning.healthy(Mode.LEASED)
    status, answer = await post(client, "services/paspor/switchover", {"by": "sri"}, "k2")
    assert status == 412
    assert any("`saling release paspor`" in unmet for unmet in answer["unmet"])
    status, answer = await post(
        client, "services/paspor/release", {"by": "sri", "reason": "a false alarm"}, "k3"
    )
    assert (status, turning.record().hold) == (200, None)


@pytest.mark.parametrize("scope", ["all", "site:batam", "service:paspor"])
async def test_a_scope_is_held_and_released_as_one(
    client: Client, turning: Desk, scope: str
) -> None:
    status, answer = await post(client, "hold", ASKED | {"scope": scope})
    assert (status, answer["accepted"]) == (200, True)
    assert turning.record().hold == Hold("siti", "files are encrypted", scope, 2 * HOUR_MS)
    status, _ = await post(client, "release", {"by": "siti", "scope": scope}, "k2")
    assert (status, turning.record().hold) == (200, None)


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("services/paspor/hold", {"by": "siti", "reason": "x"}, "body: for_ms"),
        ("services/paspor/hold", ASKED | {"reason": ""}, "body: reason"),
        ("services/paspor/hold", ASKED | {"for_ms": 1000}, "body: for_ms"),
        ("services/paspor/release", ASKED, "body: agent, for_ms"),
        ("hold", ASKED, "body: scope"),
        ("hold", ASKED | {"scope": "everything"}, "body: scope"),
        ("hold", ASKED | {"scope": "site:atlantis"}, "body: scope"),
        ("hold", ASKED | {"scope": "service:../etc"}, "body: scope"),
        ("pause", {"by": "siti", "scope": "all"}, "body: scope"),
    ],
)
async def test_a_bad_request_is_refused_with_its_place_and_changes_nothing(
    client: Client, turning: Desk, path: str, body: dict[str, Any], where: str
) -> None:
    revision = turning.record().revision
    status, answer = await post(client, path, body)
    assert (status, answer["where"]) == (422, where)
    assert answer["mend"]
    assert turning.record().revision == revision


async def test_a_firing_alert_places_a_hold_in_its_name(client: Client, turning: Desk) -> None:
    status, answer = await post(client, "alertmanager", notification())
    assert status == 200
    assert turning.record().hold == Hold(
        "alertmanager: FilesEncrypted",
        "entropy of written files is rising on batam-fs-1",
        "all",
        4 * HOUR_MS,
    )
    (told,) = answer["alerts"]
    assert (told["alert"], told["hold"], told["answer"]["accepted"]) == (
        "FilesEncrypted", "all", True,
    )  # fmt: skip


async def test_its_label_says_for_how_long(client: Client, turning: Desk) -> None:
    asked = labelled("site:jabodetabek", saling_hold_for="90m")
    assert (await post(client, "alertmanager", notification(asked)))[0] == 200
    hold = turning.record().hold
    assert hold is not None
    assert (hold.scope, hold.for_ms) == ("site:jabodetabek", 90 * 60_000)


async def test_a_notification_that_is_repeated_or_doubled_changes_nothing(
    client: Client, turning: Desk
) -> None:
    await post(client, "alertmanager", notification(alert(), alert()))
    revision = turning.record().revision
    for _ in range(3):
        status, answer = await post(client, "alertmanager", notification())
        assert (status, answer["alerts"][0]["answer"]["accepted"]) == (200, True)
    assert turning.record().revision == revision


async def test_a_repeated_notification_does_not_undo_what_a_person_released(
    client: Client, turning: Desk
) -> None:
    await post(client, "alertmanager", notification())
    await post(client, "release", {"by": "siti", "scope": "all"})
    await post(client, "alertmanager", notification())
    assert turning.record().hold is None
    # An alert that ended and fires anew is another one.
    await post(client, "alertmanager", notification(alert(startsAt="2026-11-30T05:00:00Z")))
    assert turning.record().hold is not None


async def test_a_repeated_notification_renews_what_ended_by_its_time_and_no_more(
    client: Client, turning: Desk
) -> None:
    await post(client, "alertmanager", notification())
    turning.now_ms += 4 * HOUR_MS
    turning.healthy(Mode.LEASED)
    await turning.until(lambda: turning.record().hold is None)
    status, answer = await post(client, "alertmanager", notification())
    assert (status, answer["alerts"][0]["answer"]["accepted"]) == (200, True)
    hold = turning.record().hold
    assert hold is not None
    assert (hold.by, hold.for_ms) == ("alertmanager: FilesEncrypted", 4 * HOUR_MS)
    await post(client, "release", {"by": "siti", "scope": "all"})
    await post(client, "alertmanager", notification())
    assert turning.record().hold is None


async def test_an_alarm_that_a_life_of_the_controller_left_undone_is_done_by_the_next(
    client: Client, turning: Desk
) -> None:
    (alarm,) = hear(json.dumps(notification()).encode(), turning.runtime.status).alarms
    await turning.runtime.claim(alarm.key, alarm.key)
    status, answer = await post(client, "alertmanager", notification())
    assert (status, answer["alerts"][0]["answer"]["accepted"]) == (200, True)
    assert turning.record().hold is not None
    revision = turning.record().revision
    await post(client, "alertmanager", notification())
    assert turning.record().revision == revision


async def test_a_resolved_alert_releases_nothing_and_says_so(client: Client, turning: Desk) -> None:
    await post(client, "alertmanager", notification())
    status, answer = await post(
        client, "alertmanager", notification(alert(status="resolved"), status="resolved")
    )
    assert status == 200
    assert "until a person ends it with `saling release`" in answer["alerts"][0]["text"]
    assert turning.record().hold is not None


async def test_an_alert_that_asks_for_nothing_places_nothing(client: Client, turning: Desk) -> None:
    plain = alert(labels={"alertname": "DiskFull"})
    status, answer = await post(client, "alertmanager", notification(plain))
    assert (status, answer["alerts"][0]["text"]) == (
        200, "nothing is done: it has no label saling_hold",
    )  # fmt: skip
    assert turning.record().hold is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 10_000,
        notification(version="3"),
        notification(alerts="all of them"),
        notification(alert(labels={"saling_hold": 7})),
        notification(alert(), labelled("service:paspoor")),
        notification(alert(), labelled("site:atlantis")),
        notification(alert(), labelled("")),
        notification(alert(), labelled("all", saling_hold_for="4")),
        notification(alert(), labelled("all", saling_hold_for="1s")),
    ],
)
async def test_what_is_not_understood_or_names_nothing_places_nothing_at_all(
    client: Client, turning: Desk, body: Any
) -> None:
    status, answer = await post(client, "alertmanager", body)
    assert status == 422
    assert answer["where"]
    assert answer["mend"]
    assert turning.record().hold is None


async def test_a_notification_that_is_too_large_is_refused(client: Client, turning: Desk) -> None:
    large = notification(alert(annotations={"summary": "x" * BODY_AT_MOST_BYTES}))
    status, _ = await post(client, "alertmanager", large)
    assert status == 413
    assert turning.record().hold is None


async def test_words_of_an_alert_are_cut_and_made_one_line(client: Client, turning: Desk) -> None:
    long = alert(
        labels={"alertname": "A" * 300, "saling_hold": "all"},
        annotations={"description": "one\ntwo\x1b[31m" + "x" * 900},
    )
    assert (await post(client, "alertmanager", notification(long)))[0] == 200
    hold = turning.record().hold
    assert hold is not None
    assert (len(hold.by), len(hold.reason)) == (100, 500)
    assert "\n" not in hold.reason
    assert "\x1b" not in hold.reason


async def test_the_webhook_asks_for_the_token_like_everything(turning: Desk) -> None:
    app = create_app(turning.runtime, "1.0", lambda: b"", "secret")
    async with TestClient(TestServer(app)) as one:
        async with one.post("/api/v1/alertmanager", json=notification()) as answer:
            assert answer.status == 401
        allowed = {"Authorization": "Bearer secret"}
        async with one.post("/api/v1/alertmanager", json=notification(), headers=allowed) as answer:
            assert answer.status == 200
