"""Drills over HTTP: how they stand, and the report of each."""

from __future__ import annotations

import asyncio
import json

import msgspec
from aiohttp import web

from config.topology import Topology
from controller.core.explanation.explain import predicted_failover_ms
from controller.core.plan_model import PlanKind
from controller.drills.report import markdown, report_of
from controller.status import Status
from controller.stores.base import StoredPlan
from controller.web.answers import json_answer
from controller.web.desk import Desk, Problem
from controller.web.views import drill_views

DRILLS_AT_MOST = 200


class DrillRoutes:
    """What the API has of drills; one is begun as any plan is."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        """For the application."""
        return [
            web.get("/api/v1/drills", self.all),
            web.get("/api/v1/drills/{id}", self.one),
        ]

    async def all(self, _request: web.Request) -> web.Response:
        """How each site stands, and the newest drills."""
        status, stored = self._desk.status, await self._stored(DRILLS_AT_MOST)
        # Many drills of many services take long, and the event loop must not wait for them.
        drills = await asyncio.to_thread(_listed, stored, status.topology)
        return json_answer({"sites": drill_views(status), "drills": drills})

    async def one(self, request: web.Request) -> web.Response:
        """The report of one drill, or of the `last`."""
        name = request.match_info["id"]
        found = await self._found(name)
        if found is None:
            raise await self._missing(name)
        status = self._desk.status
        report = report_of(found, status.topology, lambda uid: worst_case_ms(status, uid))
        return json_answer({**msgspec.to_builtins(report), "markdown": markdown(report)})

    async def _found(self, name: str) -> StoredPlan | None:
        if name == "last":
            return next(iter(await self._stored(1)), None)
        found = await self._desk.plan(name)
        return found if found is not None and found.plan.kind is PlanKind.DRILL else None

    async def _missing(self, name: str) -> Problem:
        newest = ", ".join(one.plan.id for one in await self._stored(5))
        if not newest:
            mend = "make one: `saling drill SITE`, with --dry-run to look at it first"
            return Problem(404, "no drill was made yet", "path", mend)
        text = f"there is no drill {json.dumps(name[:80])}"
        return Problem(404, text, "path", f"the newest drills are: {newest}")

    async def _stored(self, limit: int) -> list[StoredPlan]:
        return (await self._desk.plans(limit, PlanKind.DRILL)).plans


def _listed(stored: list[StoredPlan], topology: Topology) -> list[dict[str, str]]:
    reports = [report_of(one, topology, lambda _uid: -1) for one in stored]
    return [
        {
            "id": report.id,
            "site": report.site,
            "begun_at": report.begun_at,
            "by": report.by,
            "verdict": report.verdict.value,
            "because": report.because,
        }
        for report in reports
    ]


def worst_case_ms(status: Status, uid: str) -> int:
    """The longest outage of an unplanned failover now; -1 for a service that is not known."""
    service = status.state.services.get(uid)
    return -1 if service is None else predicted_failover_ms(service.record)
