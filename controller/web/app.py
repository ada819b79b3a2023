"""The HTTP API under /api/v1, /healthz, /readyz and /metrics.

Reading needs neither the store nor a broker, only the history does. Every answer that is
no success is JSON: {"error", "where", "mend"}, or for a refusal by a safety rule (412)
{"refused", "unmet"}.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import msgspec
from aiohttp import web

from config.topology import OperatorRole
from controller.core.events import Kind
from controller.core.foresight.capacity import capacities
from controller.stores.base import StoreError
from controller.web import intake, views
from controller.web.answers import json_answer
from controller.web.callers import CALLER, Caller, Handler, authorize
from controller.web.desk import Desk, Problem
from controller.web.forecast import forecast
from controller.web.orders import Orders, store_problem
from controller.web.plans import PlanRoutes, present_view
from controller.web.turn import Turn

MENDS = {
    404: "the paths are listed in docs/http-api.md",
    405: "see docs/http-api.md for what this path takes",
    413: f"send at most {intake.BODY_AT_MOST_BYTES} bytes",
}
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def create_app(
    desk: Desk,
    version: str,
    render_metrics: Callable[[], bytes],
    token: str | None,
    callers: tuple[Caller, ...] = (),
    more: Iterable[web.RouteDef] = (),
) -> web.Application:
    """The application. With a token, everything under /api asks for it as a bearer; or for one of
    those that the operators have. `more` are further paths."""
    app = web.Application(
        client_max_size=intake.BODY_AT_MOST_BYTES,
        middlewares=[_tell_problems, authorize(token, callers)],
    )
    orders = Orders(desk)
    forecasting = Turn("forecast", wait_s=0.0)
    reading = _Reading(desk, version, render_metrics, forecasting)
    kinds = "|".join(Kind)
    app.add_routes(
        [
            web.get("/healthz", reading.healthz),
            web.get("/readyz", reading.readyz),
            web.get("/metrics", reading.metrics),
            web.get("/api/v1/state", reading.state),
            web.get("/api/v1/history", reading.history),
            web.get("/api/v1/me", reading.me),
            web.get("/api/v1/services/{name}/explain", reading.explain),
            web.get("/api/v1/what-if", reading.what_if),
            web.get("/api/v1/capacity", reading.capacity),
            web.post(f"/api/v1/services/{{name}}/{{kind:{kinds}}}", orders.one),
            web.post("/api/v1/{kind:pause|resume|hold|release}", orders.all),
            web.post("/api/v1/alertmanager", orders.alarmed),
            *PlanRoutes(desk, orders, forecasting).routes(),
            *more,
        ]
    )
    app.on_shutdown.append(orders.close)
    return app


class _Reading:
    """What changes nothing."""

    def __init__(
        self, desk: Desk, version: str, render_metrics: Callable[[], bytes], forecasting: Turn
    ) -> None:
        self._desk = desk
        self._version = version
        self._render_metrics = render_metrics
        self._forecasting = forecasting

    async def healthz(self, _request: web.Request) -> web.Response:
        """200 while events are handled."""
        turning = self._desk.turning
        return json_answer({"turning": turning}, status=200 if turning else 503)

    async def readyz(self, _request: web.Request) -> web.Response:
        """200 while the store answers and a broker is connected."""
        status = self._desk.status
        ready = {
            "turning": self._desk.turning,
            "store": not status.store_problem,
            "broker": any(broker.connected for broker in status.brokers),
        }
        return json_answer(ready, status=200 if all(ready.values()) else 503)

    async def metrics(self, _request: web.Request) -> web.Response:
        """For Prometheus."""
        return web.Response(body=self._render_metrics(), headers={"Content-Type": METRICS_TYPE})

    async def state(self, _request: web.Request) -> web.Response:
        """Everything at once."""
        status = self._desk.status
        shown = views.state_view(status, self._version)
        return json_answer({**shown, "plan": present_view(status)})

    async def me(self, request: web.Request) -> web.Response:
        """Whom the token names; nobody where it is everybody's."""
        caller = request.get(CALLER)
        role = caller.role if caller else OperatorRole.OPERATOR
        return json_answer({"name": caller.name if caller else "", "role": role.value})

    async def explain(self, request: web.Request) -> web.Response:
        """One service; its revision is the ETag."""
        status = self._desk.status
        service = intake.find_service(status, request.match_info["name"])
        response = json_answer(views.service_view(status, service))
        response.headers["ETag"] = f'"{service.record.revision}"'
        return response

    async def capacity(self, _request: web.Request) -> web.Response:
        """Whether each site could carry the loss of another."""
        status = self._desk.status
        told = capacities(status.state, status.now_ms)
        return json_answer({"sites": [msgspec.to_builtins(one) for one in told]})

    async def what_if(self, request: web.Request) -> web.Response:
        """What would be decided if this were lost now; one at a time, beside the rules' loop."""
        async with self._forecasting.taken():
            return json_answer(await forecast(self._desk.status, request))

    async def history(self, request: web.Request) -> web.Response:
        """The newest changes, newest first."""
        name, limit = request.query.get("service"), intake.read_limit(request)
        uid = None
        if name is not None:
            uid = intake.find_service(self._desk.status, name).spec.uid
        return json_answer(views.history_view(await self._desk.history(uid, limit)))


@web.middleware
async def _tell_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every answer that is no success says what was wrong, where, and the mend."""
    try:
        return await handler(request)
    except Problem as problem:
        return _problem(problem)
    except StoreError as error:
        return _problem(store_problem(error))
    except TimeoutError:
        return _problem(Problem(504, "no answer in time", "controller", "ask again"))
    except asyncio.CancelledError:
        raise
    except web.HTTPException as error:
        mend = MENDS.get(error.status, "see docs/http-api.md")
        return _problem(Problem(error.status, error.reason, "request", mend))


def _problem(problem: Problem) -> web.Response:
    response = json_answer(problem.body, status=problem.status)
    if problem.retry_after_s:
        response.headers["Retry-After"] = str(problem.retry_after_s)
    return response
