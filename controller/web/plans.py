"""Plans over HTTP: a site is evacuated, failed over or failed back; the plan is shown and steered.

A plan under way is shown from memory, so also while the store is down; past ones need the store.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta, Struct
from msgspec.structs import replace

from controller.core.actions import Answer
from controller.core.events import PlanAct, PlanAsked
from controller.core.foresight.preview import left_ms, preview
from controller.core.plan_model import Plan, PlanKind, StepStatus
from controller.inbox import Busy, RulesFailed
from controller.status import Status
from controller.stores.base import PlanLine, StoredPlan
from controller.utc import utc_text
from controller.web import intake
from controller.web.answers import json_answer
from controller.web.callers import who
from controller.web.desk import Desk, Problem, ProblemBody
from controller.web.intake import LINE, Person, Reason
from controller.web.orders import Orders, Reply, reply_of
from controller.web.turn import Turn

KEYS = "by, reason, dry_run, now, at_once, despite_caution, over_capacity"
ACT_KEYS = "by, reason, plan, dry_run"
CHANGES_AT_MOST = 1000
PAST_AT_MOST = 200
KINDS = "|".join(PlanKind)
ACTS = "|".join(act for act in PlanAct if act is not PlanAct.BEGIN)


class SiteWish(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a POST that asks for a plan."""

    by: Person = ""
    reason: Reason = ""
    dry_run: bool = False
    now: bool = False
    """Failback: even within the dwell time."""
    at_once: Annotated[int, Meta(ge=0, le=100)] = 0
    """How many groups at the same time; 0 for as many as configured."""
    despite_caution: bool = False
    over_capacity: bool = False


class ActWish(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a POST that asks something of the plan under way."""

    by: Person = ""
    reason: Reason = ""
    plan: Annotated[str, Meta(max_length=160, pattern=LINE)] = ""
    """Only if it is this one."""
    dry_run: bool = False


class PlanRoutes:
    """What the API has of plans."""

    def __init__(self, desk: Desk, orders: Orders, forecasting: Turn) -> None:
        self._desk = desk
        self._orders = orders
        self._forecasting = forecasting

    def routes(self) -> list[web.RouteDef]:
        """The paths, to be added to the application."""
        return [
            web.get("/api/v1/plan", self.present),
            web.get("/api/v1/plans", self.past),
            web.get("/api/v1/plans/{id}", self.one),
            web.post(f"/api/v1/sites/{{site}}/{{kind:{KINDS}}}", self.begin),
            web.post(f"/api/v1/plan/{{act:{ACTS}}}", self.steer),
        ]

    async def present(self, _request: web.Request) -> web.Response:
        """The plan under way, or none."""
        return json_answer({"plan": present_view(self._desk.status)})

    async def past(self, request: web.Request) -> web.Response:
        """The newest plans, the one under way among them."""
        limit = min(intake.read_limit(request), PAST_AT_MOST)
        stored = await self._desk.plans(limit)
        # Many plans of many services take long, and the event loop must not wait for them.
        raw = await asyncio.to_thread(_encoded, stored.plans)
        return json_answer(msgspec.Raw(raw))

    async def one(self, request: web.Request) -> web.Response:
        """One plan, with what became of it so far."""
        name = request.match_info["id"]
        found = await self._desk.plan(name)
        if found is None:
            stored = await self._desk.plans(5)
            newest = ", ".join(one.plan.id for one in stored.plans) or "none"
            text = f"there is no plan {json.dumps(name[:80])}"
            raise Problem(404, text, "path", f"the newest plans are: {newest}")
        lines = await self._desk.plan_history(name, CHANGES_AT_MOST)
        return json_answer({**_stored_view(found), "changes": [_line(one) for one in lines]})

    async def begin(self, request: web.Request) -> web.Response:
        """POST /api/v1/sites/{site}/{kind}"""
        kind, site = PlanKind(request.match_info["kind"]), request.match_info["site"]
        _require_site(self._desk.status, site)
        wish = await intake.read_as(request, SiteWish, KEYS)
        wish = replace(wish, by=who(request, wish.by))
        if kind is PlanKind.FAILOVER and not wish.reason.strip() and not wish.dry_run:
            mend = "say why, for the history"
            raise Problem(422, "failover without a reason", "body: reason", mend)
        begin = _Begin(self._desk, kind, site, wish)
        if not wish.dry_run:
            return await self._orders.serve(request, begin)
        async with self._forecasting.taken():
            return await self._orders.serve(request, begin)

    async def steer(self, request: web.Request) -> web.Response:
        """POST /api/v1/plan/{act}"""
        wish = await intake.read_as(request, ActWish, ACT_KEYS)
        wish = replace(wish, by=who(request, wish.by))
        act = PlanAct(request.match_info["act"])
        return await self._orders.serve(request, _Steer(self._desk, act, wish))


def present_view(status: Status) -> dict[str, Any] | None:
    """The plan under way as it is shown; None where there is none."""
    plan = status.state.plan
    return None if plan is None else _view(plan, plan.begun_at_ms)


class _Begin:
    """A plan is asked for."""

    def __init__(self, desk: Desk, kind: PlanKind, site: str, wish: SiteWish) -> None:
        self._desk, self._kind, self.wish = desk, kind, wish
        self.told, self.names = kind.value, site

    async def do(self) -> Reply:
        wish = self.wish
        asked = PlanAsked(
            id=uuid.uuid4().hex,
            act=PlanAct.BEGIN,
            by=wish.by,
            reason=wish.reason,
            kind=self._kind,
            site=self.names,
            now=wish.now,
            at_once=wish.at_once,
            at_ms=time.time_ns() // 1_000_000,
            dry_run=wish.dry_run,
            despite_caution=wish.despite_caution,
            over_capacity=wish.over_capacity,
        )
        shown: dict[str, Any] = {}
        if wish.dry_run:
            status = self._desk.status
            # Foreseen of many services it takes long, and the rules must not wait for it.
            told = await asyncio.to_thread(preview, status.state, asked, status.now_ms)
            shown = {"preview": msgspec.to_builtins(told)}
        return await _ask(self._desk, asked, {"site": self.names, **shown})


class _Steer:
    """Something is asked of the plan under way."""

    def __init__(self, desk: Desk, act: PlanAct, wish: ActWish) -> None:
        self._desk, self._act, self.wish = desk, act, wish
        self.told, self.names = f"plan {act.value}", wish.plan or "the plan under way"

    async def do(self) -> Reply:
        wish = self.wish
        asked = PlanAsked(
            uuid.uuid4().hex, self._act, wish.by, wish.reason, plan_id=wish.plan,
            dry_run=wish.dry_run,
        )  # fmt: skip
        return await _ask(self._desk, asked, {})


async def _ask(desk: Desk, asked: PlanAsked, about: dict[str, Any]) -> Reply:
    try:
        answer: Answer = await desk.submit(asked)
    except Busy as busy:
        return reply_of(503, ProblemBody(str(busy), "controller", "send it again in a moment"))
    except RulesFailed as failed:
        return reply_of(500, ProblemBody(str(failed), "controller", "report this as a bug"))
    if answer.conflict:
        problem = ProblemBody(answer.text, "plan", "; ".join(answer.unmet))
        return reply_of(409, {**about, **msgspec.to_builtins(problem)})
    if not answer.accepted:
        return reply_of(412, {**about, "refused": answer.text, "unmet": list(answer.unmet)})
    said = {"accepted": True, "text": answer.text, "plan": answer.operation_id}
    return reply_of(200, {**about, **said, "dry_run": asked.dry_run})


def _require_site(status: Status, site: str) -> None:
    sites = [one.id for one in status.topology.sites]
    if site not in sites:
        text = f"there is no site {json.dumps(site[:80])}"
        raise Problem(404, text, "path", f"the sites are: {', '.join(sites)}")


def _encoded(stored: list[StoredPlan]) -> bytes:
    return msgspec.json.encode({"plans": [_stored_view(one) for one in stored]})


def _stored_view(stored: StoredPlan) -> dict[str, Any]:
    shown = _view(stored.plan, stored.begun_at_ms)
    return {**shown, "changed_at": utc_text(stored.changed_at_ms)}


def _view(plan: Plan, begun_at_ms: int) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(plan)
    counts = {status.value.replace(" ", "_"): 0 for status in StepStatus}
    for step in plan.steps:
        counts[step.status.value.replace(" ", "_")] += 1
    begun = utc_text(begun_at_ms) if begun_at_ms else ""
    return {**shown, "counts": counts, "left_ms": left_ms(plan), "begun_at": begun}


def _line(line: PlanLine) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(line)
    return {**shown, "at": utc_text(line.at_ms)}
