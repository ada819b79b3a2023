"""The HTTP API over a real runtime and store: strict, once only, and readable in any trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
import structlog
from aiohttp.test_utils import TestClient, TestServer

from controller.core.model import Phase
from controller.stores.base import StoreFailed
from controller.web.app import create_app
from protocol.messages import Mode, Role
from tests.controller.desk import B, Desk

BY = {"by": "siti"}
Client = TestClient[Any, Any]


async def served(desk: Desk, token: str | None = None) -> Client:
    app = create_app(desk.runtime, "1.0", lambda: b"saling_build_info 1\n", token)
    client = TestClient(TestServer(app))
    await client.start_server()
    return client


@pytest.fixture
async def client(turning: Desk) -> AsyncIterator[Client]:
    one = await served(turning)
    yield one
    await one.close()


async def post(
    client: Client, path: str, body: Any, key: str | None = "k1", **headers: str
) -> tuple[int, dict[str, Any]]:
    """The status and the body; `body` is JSON, or bytes as they are."""
    sent = {"Content-Type": "application/json", **headers}
    if key is not None:
        sent["Idempotency-Key"] = key
    data = {"data": body} if isinstance(body, bytes) else {"json": body}
    async with client.post(f"/api/v1/{path}", headers=sent, **data) as answer:
        return answer.status, await answer.json()


async def get(client: Client, path: str) -> tuple[int, dict[str, Any]]:
    async with client.get(path) as answer:
        return answer.status, await answer.json()


async def test_the_state_shows_everything_at_once(client: Client, turning: Desk) -> None:
    await turning.protect()
    status, state = await get(client, "/api/v1/state")
    assert status == 200
    assert state["cluster"] == {"name": "Test", "uid": "c1"}
    assert (state["version"], state["term"]) == ("1.0", 1)
    assert state["store"]["up"] is True
    assert [site["up"] for site in state["sites"]] == [True, True]
    assert state["pairs"][0]["services"] == ["paspor", "pajak"]
    assert state["pairs"][0]["protected"] is False
    assert [agent["up"] for agent in state["agents"]] == [True, True]
    paspor, pajak = state["services"]
    assert (paspor["phase"], pajak["phase"]) == ("PROTECTED", "ALONE")
    assert paspor["lag_bytes"] == 0
    assert paspor["lease_ttl_ms"] == 2000
    assert paspor["timing"]["ttl_ms"] == 2000


async def test_explain_carries_the_revision_as_its_etag(client: Client) -> None:
    async with client.get("/api/v1/services/paspor/explain") as answer:
        body = await answer.json()
        assert answer.headers["ETag"] == f'"{body["revision"]}"'
    assert body["ways"]
    assert body["because"]


async def test_explain_names_the_quarantines_of_each_copy(client: Client, turning: Desk) -> None:
    async def kept() -> Any:
        return (await get(client, "/api/v1/services/paspor/explain"))[1]["quarantines"]

    assert await kept() == []
    turning.report(B, role=Role.STANDBY, quarantine="12 transactions, in /q")
    await turning.until(lambda: B in turning.state.services["paspor"].reports)
    assert await kept() == [{"agent": B, "text": "12 transactions, in /q"}]


async def test_history_tells_what_was_changed(client: Client) -> None:
    for number, name in enumerate(("paspor", "pajak", "paspor")):
        kind = "pause" if number < 2 else "resume"
        assert (await post(client, f"services/{name}/{kind}", BY, f"k{number}"))[0] == 200
    _, body = await get(client, "/api/v1/history")
    assert [line["transition"]["service"] for line in body["history"]] == [
        "paspor",
        "pajak",
        "paspor",
    ]
    assert body["history"][0]["at"].endswith("Z")
    _, body = await get(client, "/api/v1/history?service=pajak&limit=1")
    assert [line["transition"]["service"] for line in body["history"]] == ["pajak"]


async def test_a_switchover_begins_and_names_its_operation(client: Client, turning: Desk) -> None:
    await turning.protect()
    turning.healthy(Mode.LEASED)
    dry, answer = await post(client, "services/paspor/switchover", BY | {"dry_run": True}, None)
    assert (dry, answer["dry_run"]) == (200, True)
    assert turning.record().phase is Phase.PROTECTED
    status, answer = await post(client, "services/paspor/switchover", BY)
    assert status == 200
    assert answer["operation"] == f"paspor-{turning.record().revision}"
    assert turning.record().phase is Phase.DRAINING


async def test_a_refusal_by_a_rule_says_what_is_missing(client: Client, turning: Desk) -> None:
    status, answer = await post(client, "services/paspor/switchover", BY)
    assert status == 412
    assert "ALONE" in answer["refused"]
    assert answer["unmet"]
    assert turning.record().revision == 1


async def test_the_same_key_gives_the_same_answer_and_acts_once(
    client: Client, turning: Desk
) -> None:
    both = [post(client, "services/paspor/pause", BY) for _ in range(5)]
    answers = await asyncio.gather(*both)
    assert turning.record().revision == 2
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 200
    await post(client, "services/paspor/resume", BY, "k2")
    assert await post(client, "services/paspor/pause", BY) == answers[0]
    assert turning.record().paused == ""


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("services/paspor/pause", {"by": "budi"}),
        ("services/pajak/pause", BY),
        ("services/paspor/resume", BY),
        ("pause", BY),
    ],
)
async def test_the_same_key_for_another_request_is_a_conflict(
    client: Client, turning: Desk, path: str, body: dict[str, Any]
) -> None:
    await post(client, "services/paspor/pause", BY)
    status, answer = await post(client, path, body)
    assert (status, answer["where"]) == (409, "header Idempotency-Key")
    assert turning.record().revision == 2


async def test_a_request_whose_end_was_lost_is_not_done_again(
    client: Client, turning: Desk
) -> None:
    await post(client, "services/paspor/pause", BY)
    turning.store._database.execute("UPDATE requests SET answer = x''")
    status, answer = await post(client, "services/paspor/pause", BY)
    assert status == 409
    assert "unknown" in answer["error"]
    assert turning.record().revision == 2


@pytest.mark.parametrize("stale", [{"If-Match": '"7"'}, {}])
async def test_a_stale_revision_or_epoch_is_a_conflict(
    client: Client, turning: Desk, stale: dict[str, str]
) -> None:
    body = BY if stale else BY | {"epoch": 9}
    status, answer = await post(client, "services/paspor/pause", body, **stale)
    assert status == 409
    assert "paspor" in answer["error"]
    assert turning.record().revision == 1


async def test_a_fitting_revision_is_accepted(client: Client) -> None:
    status, _ = await post(client, "services/paspor/pause", BY, **{"If-Match": '"1"'})
    assert status == 200


async def test_all_services_are_paused_at_once(client: Client, turning: Desk) -> None:
    status, answer = await post(client, "pause", BY | {"reason": "maintenance"})
    assert status == 200
    assert answer["refused"] == []
    assert sorted(answer["services"]) == ["pajak", "paspor"]
    assert turning.record("pajak").paused == "by siti: maintenance"
    assert turning.record("paspor").paused == "by siti: maintenance"


BAD_BODIES: list[tuple[Any, int]] = [
    (b"", 422),
    (b"garbage", 422),
    (b"\xff\xfe{}", 422),
    (b"[" * 60_000, 422),
    (b'{"by":' + b'{"by":' * 5000, 422),
    (b'{"by":"a","by":"b"}', 422),
    (b'{"by":"a","epoch":NaN}', 422),
    (b'{"by":"\\ud800"}', 422),
    (b"x" * 70_000, 413),
    ([], 422),
    ({}, 422),
    ({"by": ""}, 422),
    ({"by": 5}, 422),
    ({"by": "x" * 101}, 422),
    ({"by": "line\nbreak"}, 422),
    (BY | {"reason": "x" * 501}, 422),
    (BY | {"epoch": "1"}, 422),
    (BY | {"epoch": -1}, 422),
    (BY | {"epoch": 2**63}, 422),
    (BY | {"epoch": 1.5}, 422),
    (BY | {"dry_run": "yes"}, 422),
    (BY | {"force": True}, 422),
    (BY | {"loss_bytes": 5}, 422),
]


@pytest.mark.parametrize(("body", "wanted"), BAD_BODIES)
async def test_a_body_that_is_not_understood_is_told_and_changes_nothing(
    client: Client, turning: Desk, body: Any, wanted: int
) -> None:
    status, answer = await post(client, "services/paspor/pause", body)
    assert status == wanted
    assert set(answer) == {"error", "where", "mend"}
    assert turning.record().revision == 1


@pytest.mark.parametrize(
    ("kind", "body", "where"),
    [
        ("failover", BY, "body: reason"),
        ("failover", BY | {"reason": "  "}, "body: reason"),
        ("approve", BY | {"epoch": 1}, "body: reason"),
        ("approve", BY | {"reason": "x"}, "body: epoch"),
    ],
)
async def test_what_may_lose_data_asks_for_its_reason_and_epoch(
    client: Client, kind: str, body: dict[str, Any], where: str
) -> None:
    status, answer = await post(client, f"services/paspor/{kind}", body)
    assert (status, answer["where"]) == (422, where)


NAMES = ["../../etc/passwd", "..", "💣", "' OR 1=1 --", "a" * 5000, "paspor\n", "PASPOR", "%00"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["GET", "POST", "history"])
async def test_a_name_of_no_service_is_refused_with_those_there_are(
    client: Client, turning: Desk, name: str, method: str
) -> None:
    quoted = quote(name, safe="") if name != ".." else "%2E%2E%2F"
    if method == "GET":
        status, answer = await get(client, f"/api/v1/services/{quoted}/explain")
    elif method == "POST":
        status, answer = await post(client, f"services/{quoted}/pause", BY)
    else:
        status, answer = await get(client, f"/api/v1/history?service={quoted}")
    assert status == 404
    if "services" in answer["mend"]:
        assert "paspor, pajak" in answer["mend"]
    assert turning.record().revision == 1


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "x", "1e3", "", "99999999999999999999"])
async def test_a_limit_that_is_no_number_in_bounds_is_refused(client: Client, limit: str) -> None:
    status, answer = await get(client, f"/api/v1/history?limit={limit}")
    assert (status, answer["where"]) == (422, "query: limit")


@pytest.mark.parametrize("key", [None, "", "two words", "x" * 129, "ü"])
async def test_a_change_without_a_usable_key_is_refused(
    client: Client, turning: Desk, key: str | None
) -> None:
    status, answer = await post(client, "services/paspor/pause", BY, key)
    assert (status, answer["where"]) == (422, "header Idempotency-Key")
    assert turning.record().revision == 1


async def test_other_faults_of_a_request_are_told_too(client: Client) -> None:
    for headers in ({"If-Match": "*"}, {"If-Match": "7"}, {"Content-Type": "text/plain"}):
        assert (await post(client, "services/paspor/pause", b'{"by":"a"}', **headers))[0] == 422
    assert (await post(client, "services/paspor/explode", BY))[0] == 404
    assert (await get(client, "/api/v1/services/paspor/pause"))[0] == 405
    assert (await get(client, "/nothing"))[0] == 404
    assert (await post(client, "pause", BY, **{"If-Match": '"1"'}))[0] == 422


async def test_a_request_smuggled_behind_another_is_not_served(
    client: Client, turning: Desk
) -> None:
    """Two ways to say how long the body is, and what one reader takes for the body is a POST."""
    hidden = (
        b"POST /api/v1/services/paspor/pause HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\n"
        b'Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{"by":"a"}'
    )
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(
        b"POST /api/v1/pause HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Length: 4\r\n\r\n0\r\n\r\n" + hidden
    )
    first = await asyncio.wait_for(reader.readline(), 30)
    writer.close()
    assert b" 400 " in first
    assert turning.record().revision == 1


async def test_the_api_asks_for_its_token_and_the_rest_does_not(turning: Desk) -> None:
    client = await served(turning, token="s3cret")
    for given in ("", "Bearer", "Bearer wrong", "Basic s3cret", "s3cret", "Bearer s3cretx"):
        async with client.get("/api/v1/state", headers={"Authorization": given}) as answer:
            assert answer.status == 401
            assert "s3cret" not in await answer.text()
    async with client.get("/api/v1/nothing") as answer:
        assert answer.status == 401
    async with client.get("/api/v1/state", headers={"Authorization": "Bearer s3cret"}) as answer:
        assert answer.status == 200
    for path in ("/healthz", "/metrics"):
        async with client.get(path) as answer:
            assert answer.status == 200
    await client.close()


async def test_reading_works_while_the_store_and_all_brokers_are_down(
    client: Client, turning: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> Any:
        raise StoreFailed("the disk is gone")

    for name in ("history", "claim_request"):
        monkeypatch.setattr(turning.store, name, broken)
    status, answer = await post(client, "services/paspor/pause", BY)
    assert (status, answer["error"]) == (503, "the disk is gone")
    assert (await get(client, "/api/v1/history"))[0] == 503
    status, state = await get(client, "/api/v1/state")
    assert status == 200
    assert state["store"]["problem"] == "the disk is gone"
    assert (await get(client, "/api/v1/services/paspor/explain"))[0] == 200
    assert (await get(client, "/healthz"))[0] == 200
    assert await get(client, "/readyz") == (
        503,
        {"turning": True, "store": False, "broker": False},
    )
    assert turning.record().revision == 1


async def test_of_two_switchovers_the_second_is_a_conflict_that_names_the_first(
    client: Client, turning: Desk
) -> None:
    await turning.protect()
    turning.healthy(Mode.LEASED)
    _, first = await post(client, "services/paspor/switchover", BY)
    status, second = await post(client, "services/paspor/switchover", BY, "k2")
    assert status == 409
    assert first["operation"] in second["error"]


async def test_the_log_says_who_asked_what_of_which_service_and_why(client: Client) -> None:
    with structlog.testing.capture_logs() as lines:
        await post(client, "services/paspor/pause", BY | {"reason": "a new rack"})
        await post(client, "resume", BY, "k2")
    told = [line for line in lines if line["event"] == "answered an operator"]
    assert [(t["kind"], t["services"], t["by"], t["reason"]) for t in told] == [
        ("pause", "paspor", "siti", "a new rack"),
        ("resume", "all", "siti", ""),
    ]


@pytest.mark.parametrize("kind", ["approve", "force", "force-proof"])
async def test_a_wrong_epoch_is_refused_by_the_rules_where_data_may_be_lost(
    client: Client, turning: Desk, kind: str
) -> None:
    await turning.protect()
    proof = {"proof": "no power"} if kind == "force-proof" else {}
    status, answer = await post(
        client, f"services/paspor/{kind}", BY | {"reason": "x", "epoch": 7, **proof}
    )
    assert status == 412
    assert answer["unmet"]
