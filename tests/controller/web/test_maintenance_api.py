"""The maintenance of a backup over the HTTP API: strict, once only, kept in the store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from controller.core.model import Maintenance, Phase
from controller.web.app import create_app
from protocol.messages import Mode
from tests.controller.desk import A, B, Desk

BY = {"by": "siti", "reason": "kernel patches"}
HOUR_MS = 3_600_000
BEGIN = BY | {"for_ms": HOUR_MS}
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
    client: Client, kind: str, body: dict[str, Any], key: str = "k1"
) -> tuple[int, dict[str, Any]]:
    path = f"/api/v1/services/paspor/{kind}"
    async with client.post(path, json=body, headers={"Idempotency-Key": key}) as answer:
        return answer.status, await answer.json()


async def explained(client: Client) -> dict[str, Any]:
    async with client.get("/api/v1/services/paspor/explain") as answer:
        body: dict[str, Any] = await answer.json()
        return body


async def test_a_maintenance_is_stored_with_who_and_why_and_shown(
    client: Client, turning: Desk
) -> None:
    status, answer = await post(client, "maintenance-begin", BEGIN)
    assert status == 200
    assert "nobody can take over paspor" in answer["text"]
    assert turning.record().phase is Phase.ALONE
    stored = turning.store.records().records["paspor"]
    assert stored.maintenance == Maintenance(B, "siti", "kernel patches", HOUR_MS)
    shown = (await explained(client))["maintenance"]
    assert (shown["agent"], shown["by"], shown["for_ms"]) == (B, "siti", HOUR_MS)
    assert (shown["left_ms"], shown["away"], shown["may_stop"]) == (HOUR_MS, False, False)
    assert shown["as_announced"] is True


async def test_asked_again_with_the_same_key_it_is_not_announced_twice(
    client: Client, turning: Desk
) -> None:
    first = await post(client, "maintenance-begin", BEGIN)
    revision = turning.record().revision
    assert await post(client, "maintenance-begin", BEGIN) == first
    assert turning.record().revision == revision


async def test_it_ends_when_an_operator_says_so(client: Client, turning: Desk) -> None:
    await post(client, "maintenance-begin", BEGIN)
    status, answer = await post(client, "maintenance-end", {"by": "sri"}, "k2")
    assert status == 200
    assert "was ended by sri" in answer["text"]
    assert turning.record().maintenance is None
    assert (await explained(client))["maintenance"] is None


async def test_where_the_primary_stands_it_is_refused(client: Client, turning: Desk) -> None:
    status, answer = await post(client, "maintenance-begin", BEGIN | {"agent": A})
    assert status == 412
    assert "switch over first" in answer["unmet"][0]
    assert turning.record().phase is Phase.PROTECTED


async def test_the_end_of_nothing_is_refused(client: Client) -> None:
    status, answer = await post(client, "maintenance-end", {"by": "sri"})
    assert status == 412
    assert "maintenance-end is possible in ALONE; paspor is in PROTECTED" in answer["refused"]


@pytest.mark.parametrize(
    ("kind", "body", "where"),
    [
        ("maintenance-begin", BY, "body: for_ms"),
        ("maintenance-begin", BEGIN | {"reason": " "}, "body: reason"),
        ("maintenance-begin", BEGIN | {"for_ms": 59_999}, "body: for_ms"),
        ("maintenance-begin", BEGIN | {"for_ms": 31 * 24 * HOUR_MS}, "body: for_ms"),
        ("maintenance-begin", BEGIN | {"for_ms": "2h"}, "body: for_ms"),
        ("maintenance-begin", BEGIN | {"for_ms": 1.5e6 + 0.5}, "body: for_ms"),
        ("maintenance-begin", BEGIN | {"agent": "a\nb"}, "body: agent"),
        ("maintenance-begin", BEGIN | {"loss_bytes": 5}, "body: loss_bytes, loss_ms"),
        ("maintenance-end", BEGIN, "body: agent, for_ms"),
        ("pause", BY | {"agent": B}, "body: agent, for_ms"),
    ],
)
async def test_a_bad_request_is_refused_with_its_place_and_changes_nothing(
    client: Client, turning: Desk, kind: str, body: dict[str, Any], where: str
) -> None:
    revision = turning.record().revision
    status, answer = await post(client, kind, body)
    assert (status, answer["where"]) == (422, where)
    assert answer["mend"]
    assert turning.record().revision == revision
