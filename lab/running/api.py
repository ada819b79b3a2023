"""The controller's HTTP API, as the lab uses it."""

from __future__ import annotations

import uuid
from typing import Any

import aiohttp

TIMEOUT = aiohttp.ClientTimeout(total=5.0, connect=1.0)


class ApiError(Exception):
    """The controller answered with something else than 200; `status` and `body` say what."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body


class Api:
    """One controller. Raises aiohttp.ClientError and TimeoutError while it is down."""

    def __init__(self, address: str) -> None:
        self._base = f"http://{address}"

    async def state(self) -> dict[str, Any]:
        """Everything at once."""
        return await self._get("/api/v1/state")

    async def explain(self, service: str) -> dict[str, Any]:
        return await self._get(f"/api/v1/services/{service}/explain")

    async def history(self, service: str, limit: int = 100) -> list[dict[str, Any]]:
        """What was changed, newest first."""
        answer = await self._get(f"/api/v1/history?service={service}&limit={limit}")
        entries: list[dict[str, Any]] = answer["history"]
        return entries

    async def plans(self) -> list[dict[str, Any]]:
        """Plans of whole sites, the newest first."""
        answer = await self._get("/api/v1/plans")
        plans: list[dict[str, Any]] = answer["plans"]
        return plans

    async def what_if(self, lose: str) -> dict[str, Any]:
        """What would be decided if this site were lost now."""
        return await self._get(f"/api/v1/what-if?lose={lose}")

    async def ask(self, service: str, kind: str, **body: Any) -> dict[str, Any]:
        """Switchover, failover, approve, pause or resume. Raises ApiError when refused."""
        return await self._post(f"/api/v1/services/{service}/{kind}", body)

    async def begin_plan(self, site: str, kind: str, **body: Any) -> dict[str, Any]:
        """Evacuate, failover, failback or drill. Raises ApiError when refused."""
        return await self._post(f"/api/v1/sites/{site}/{kind}", body)

    async def steer_plan(self, act: str, **body: Any) -> dict[str, Any]:
        """Pause, resume or end the plan under way. Raises ApiError when refused."""
        return await self._post(f"/api/v1/plan/{act}", body)

    async def plan(self) -> dict[str, Any] | None:
        """The one under way."""
        plan: dict[str, Any] | None = (await self._get("/api/v1/plan"))["plan"]
        return plan

    async def reload(self) -> dict[str, Any]:
        """Take the configuration as it is written now."""
        return await self._post("/api/v1/reload", {})

    async def metrics(self) -> str:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as session,
            session.get(f"{self._base}/metrics") as answer,
        ):
            return await answer.text()

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as session,
            session.post(
                self._base + path, json={"by": "the lab", **body}, headers=headers
            ) as answer,
        ):
            return await _read(answer)

    async def _get(self, path: str) -> dict[str, Any]:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as session,
            session.get(self._base + path) as answer,
        ):
            return await _read(answer)


async def _read(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    body: dict[str, Any] = await answer.json()
    if answer.status != 200:
        raise ApiError(answer.status, body)
    return body
