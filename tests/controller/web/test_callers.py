"""Who calls: a token of his own names him, and his role says what he may."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog
from aiohttp.test_utils import TestClient, TestServer

from config.topology import OperatorRole
from controller.web.app import create_app
from controller.web.callers import Caller
from tests.controller.desk import Desk

CALLERS = (
    Caller("siti", OperatorRole.OPERATOR, "token-of-siti"),
    Caller("budi", OperatorRole.OPERATOR, "token-of-budi"),
    Caller("dashboard", OperatorRole.VIEWER, "token-of-dashboard"),
    Caller("pager", OperatorRole.ALARM, "token-of-pager"),
)
Client = TestClient[Any, Any]


@pytest.fixture
async def client(turning: Desk) -> AsyncIterator[Client]:
    app = create_app(turning.runtime, "1.0", lambda: b"", None, CALLERS)
    one: Client = TestClient(TestServer(app))
    await one.start_server()
    yield one
    await one.close()


async def ask(
    client: Client, token: str, path: str, body: dict[str, Any] | None = None
) -> tuple[int, dict[str, Any]]:
    headers = {
        "Authorization": f"Bearer {token}",
        "Idempotency-Key": f"{len(token)}-{path}",
    }
    method = "GET" if body is None else "POST"
    async with client.request(method, f"/api/v1/{path}", headers=headers, json=body) as answer:
        return answer.status, await answer.json()


async def test_a_token_names_who_asks(client: Client, turning: Desk) -> None:
    status, _ = await ask(client, "token-of-siti", "services/paspor/pause", {"reason": "x"})
    assert status == 200
    assert turning.record().paused == "by siti: x"
    assert await ask(client, "token-of-siti", "me") == (200, {"name": "siti", "role": "operator"})


async def test_nobody_speaks_for_another(client: Client, turning: Desk) -> None:
    body = {"by": "budi", "reason": "x"}
    status, answer = await ask(client, "token-of-siti", "services/paspor/pause", body)
    assert (status, answer["where"]) == (403, "body: by")
    assert "the token is that of siti" in answer["error"]
    assert not turning.record().paused
    assert (await ask(client, "token-of-siti", "pause", {"by": " SITI", "reason": "x"}))[0] == 200


@pytest.mark.parametrize("token", ["", "token-of-sit", "token-of-siti2", "token-of-Siti", "\u00e9"])
async def test_without_a_token_of_anybody_nothing_is_shown(client: Client, token: str) -> None:
    status, answer = await ask(client, token, "state")
    assert (status, answer["where"]) == (401, "header Authorization")


async def test_who_only_looks_changes_nothing(client: Client, turning: Desk) -> None:
    assert (await ask(client, "token-of-dashboard", "state"))[0] == 200
    status, answer = await ask(client, "token-of-dashboard", "pause", {"reason": "x"})
    assert (status, answer["mend"]) == (403, "ask as somebody with the role operator")
    assert (await ask(client, "token-of-dashboard", "alertmanager", {}))[0] == 403
    assert not turning.record().paused


async def test_an_alarm_may_place_what_alarms_place_and_nothing_else(client: Client) -> None:
    assert (await ask(client, "token-of-pager", "pause", {"reason": "x"}))[0] == 403
    assert (await ask(client, "token-of-pager", "alertmanager", {}))[0] == 422
    assert (await ask(client, "token-of-pager", "state"))[0] == 200


async def test_no_token_is_logged_or_shown(client: Client) -> None:
    with structlog.testing.capture_logs() as logs:
        await ask(client, "token-of-siti", "services/paspor/pause", {"reason": "x"})
        await ask(client, "token-of-nobody", "state")
    assert "token-of" not in repr(logs)
    assert "token-of" not in repr(CALLERS)
