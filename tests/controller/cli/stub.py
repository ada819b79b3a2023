"""A controller's API for the tests of the command line: real HTTP, made-up answers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Answer = tuple[int, Any]
START_TIMEOUT_S = 30


@dataclass
class Asked:
    """One POST as it arrived."""

    path: str
    key: str
    token: str
    body: dict[str, Any]


@dataclass
class Stub:
    """What it answers may be changed at any time."""

    state: dict[str, Any]
    history: list[dict[str, Any]] = field(default_factory=list)
    """Oldest first."""
    answers: list[Answer] = field(default_factory=list)
    """To POSTs without dry_run, one after the other; the last one stays."""
    dry_answer: Answer | None = None
    then: Callable[[], None] | None = None
    """What happens once a POST without dry_run was accepted."""
    break_connections: int = 0
    """So many POSTs without dry_run are cut off after they arrived."""
    history_answer: Answer | None = None
    plans: dict[str, list[Any]] = field(default_factory=dict)
    """Answers by path, such as `plans/evacuate-batam-1`, one after the other; the last stays."""
    capacity: list[dict[str, Any]] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)
    """By the last part of the path: what is answered there."""
    queries: list[dict[str, str]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    reads: int = 0

    @property
    def done(self) -> list[Asked]:
        """The POSTs that asked for more than a dry run."""
        return [one for one in self.asked if not one.body.get("dry_run")]

    def app(self) -> web.Application:
        """The routes of docs/http-api.md that the commands use."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/api/v1/state", self._state),
                web.get("/api/v1/history", self._history),
                web.get("/api/v1/capacity", self._capacity),
                web.get("/api/v1/services/{name}/explain", self._explain),
                web.post("/api/v1/services/{name}/{kind}", self._post),
                web.post("/api/v1/{kind}", self._post),
                web.post("/api/v1/sites/{site}/{kind}", self._post),
                web.post("/api/v1/plan/{act}", self._post),
                web.get("/api/v1/{path:plans?(?:/.*)?}", self._plan),
                web.get("/api/v1/{what:hazards|timeline}", self._told),
            ]
        )
        return app

    async def _state(self, _request: web.Request) -> web.Response:
        self.reads += 1
        return web.json_response(self.state)

    async def _capacity(self, _request: web.Request) -> web.Response:
        return web.json_response({"sites": self.capacity})

    async def _explain(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        for one in self.state["services"]:
            if one["service"] == name:
                return web.json_response(one)
        return _unknown(name)

    async def _history(self, request: web.Request) -> web.Response:
        if self.history_answer is not None:
            return web.json_response(self.history_answer[1], status=self.history_answer[0])
        name = request.query.get("service")
        chosen = [x for x in self.history if name in (None, x["transition"]["service"])]
        newest = chosen[::-1][: int(request.query.get("limit", "50"))]
        return web.json_response({"history": newest})

    async def _plan(self, request: web.Request) -> web.Response:
        told = self.plans.get(request.path.removeprefix("/api/v1/"), [])
        if not told:
            return _respond(problem(404, "there is no such plan"))
        return web.json_response(told[0] if len(told) == 1 else told.pop(0))

    async def _told(self, request: web.Request) -> web.Response:
        self.queries.append(dict(request.query))
        return web.json_response(self.told[request.match_info["what"]])

    async def _post(self, request: web.Request) -> web.Response:
        raw = await request.read()
        asked = Asked(
            path=request.path,
            key=request.headers.get("Idempotency-Key", ""),
            token=request.headers.get("Authorization", ""),
            body=json.loads(raw),
        )
        self.asked.append(asked)
        if asked.body.get("dry_run"):
            return _respond(self.dry_answer or accepted("", "it would be done"))
        if self.break_connections:
            self.break_connections -= 1
            assert request.transport is not None
            request.transport.close()
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if self.then is not None and answer[0] == 200:
            self.then()
        return _respond(answer)


class Running:
    """Serves a stub from a thread of its own, on a free port of loopback."""

    def __init__(self, stub: Stub) -> None:
        self._app = stub.app()
        self._stub = stub
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="stub", daemon=True)

    def __enter__(self) -> Stub:
        self._thread.start()
        assert self._ready.wait(START_TIMEOUT_S)
        return self._stub

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_TIMEOUT_S)

    def _serve(self) -> None:
        runner = web.AppRunner(self._app, shutdown_timeout=0.1)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        self._stub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()


def accepted(operation: str, text: str = "accepted it is", service: str = "paspor") -> Answer:
    """200, as documented."""
    body = {"service": service, "accepted": True, "text": text, "operation": operation}
    return 200, body


def refused(text: str, *unmet: str) -> Answer:
    """412, as documented."""
    return 412, {"service": "paspor", "refused": text, "unmet": list(unmet)}


def problem(status: int, error: str, where: str = "body", mend: str = "mend it") -> Answer:
    """Every other answer that is no success."""
    return status, {"error": error, "where": where, "mend": mend}


def _unknown(name: str) -> web.Response:
    return _respond(problem(404, f'there is no service "{name}"', "path", "they are: paspor"))


def _respond(answer: Answer) -> web.Response:
    return web.json_response(answer[1], status=answer[0])
