"""POST: an operator asks the rules for something, and gets the same answer as often as he asks.

A request is noted in the store under its Idempotency-Key before it begins, and its answer
when it has ended. One that was begun by an earlier life of the controller, and whose end
is unknown, is never done a second time; only an alarm's hold is, for it is the same when it is
placed twice.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol

import msgspec
import structlog
from aiohttp import web

from controller.core.actions import Answer
from controller.core.events import Kind, Requested
from controller.core.gates import holds
from controller.core.model import ServiceState
from controller.inbox import Busy, Conflict, RulesFailed
from controller.stores.base import StoreError
from controller.web import alarms, intake
from controller.web.alarms import Alarm
from controller.web.desk import Desk, Problem, ProblemBody
from controller.web.intake import Wish

ANSWER_TIMEOUT_S = 15.0
FINAL = (200, 409, 412)
"""Answers that are kept; after any other nothing was done, and it may be asked again."""

JUDGED_BY_EPOCH = intake.NEED_EPOCH
"""What is refused by the rules where it names another epoch."""

log = structlog.get_logger("api")


class Reply(msgspec.Struct, frozen=True):
    """An answer as it is kept: the HTTP status and the body."""

    status: int
    body: msgspec.Raw


class Body(Protocol):
    """What the body of every request says."""

    @property
    def by(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def dry_run(self) -> bool: ...


class Work(Protocol):
    """One thing that is asked for."""

    @property
    def wish(self) -> Body:
        """The body."""

    @property
    def told(self) -> str:
        """What is asked for, for the log."""

    @property
    def names(self) -> str:
        """Of what, for the log."""

    async def do(self) -> Reply:
        """Ask the rules. Raises Problem only where nothing was asked."""


class Orders:
    """The requests of operators that are under way."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._under_way: dict[str, tuple[str, asyncio.Task[Reply]]] = {}

    async def one(self, request: web.Request) -> web.Response:
        """POST /api/v1/services/{name}/{kind}"""
        kind = Kind(request.match_info["kind"])
        service = intake.find_service(self._desk.status, request.match_info["name"])
        wish = await intake.read_wish(request, kind)
        revision = intake.read_revision(request)
        if kind is Kind.APPROVE:
            intake.check_approval(service, wish)
        return await self._serve(request, kind, [service], wish, revision)

    async def all(self, request: web.Request) -> web.Response:
        """POST /api/v1/pause and /api/v1/resume; /api/v1/hold and /api/v1/release of a scope"""
        kind = Kind(request.match_info["kind"])
        wish = await intake.read_wish(request, kind)
        if request.headers.get("If-Match") is not None or wish.epoch is not None:
            raise Problem(
                422,
                "a revision or epoch is one service's",
                "header If-Match, body: epoch",
                "leave it out, or ask for each service by itself",
            )
        services = self._desk.status.services
        if kind in intake.HOLDS:
            services = intake.find_scope(self._desk.status, wish.scope, "body: scope")
        return await self._serve(request, kind, list(services), wish, None)

    async def alarmed(self, request: web.Request) -> web.Response:
        """POST /api/v1/alertmanager"""
        heard = alarms.hear(await intake.read_body(request), self._desk.status)
        tasks = [self._begin(a.key, a.key, partial(self._hear, a)) for a in heard.alarms]
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            replies = [await asyncio.shield(task) for task in tasks]
        answers = [
            {"alert": alarm.name, "status": "firing", "hold": alarm.scope, "answer": reply.body}
            for alarm, reply in zip(heard.alarms, replies, strict=True)
        ]
        # Alertmanager sends again what was answered with 5xx.
        worst = max((reply.status for reply in replies), default=200)
        status = worst if worst >= 500 else 200
        return _response(reply_of(status, {"alerts": [*answers, *heard.others]}))

    async def _hear(self, alarm: Alarm) -> Reply:
        """Place the hold, once; again where it ended by its time, or perhaps never began.

        Alertmanager does not send again what was answered with 409.
        """
        before = await self._desk.claim(alarm.key, alarm.key)
        if before is not None and before.digest != alarm.key:
            raise _other_body()
        if before is None or not before.answer:
            reply = await self._do(alarm.key, self._work_of(alarm, alarm.services))
            await self._settle(alarm.key, reply)
            return reply
        if ran_out := alarms.ran_out(alarm):
            return await self._do(alarm.key, self._work_of(alarm, ran_out))
        return msgspec.json.decode(before.answer, type=Reply)

    def _work_of(self, alarm: Alarm, services: tuple[ServiceState, ...]) -> _Work:
        wish = Wish(by=alarm.by, reason=alarm.reason, for_ms=alarm.for_ms, scope=alarm.scope)
        return _Work(self._desk, Kind.HOLD, list(services), wish, None, single=False)

    async def close(self, _app: web.Application) -> None:
        """Give up what is still under way."""
        tasks = [task for _digest, task in self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(
        self,
        request: web.Request,
        kind: Kind,
        services: list[ServiceState],
        wish: Wish,
        revision: int | None,
    ) -> web.Response:
        work = _Work(
            self._desk, kind, services, wish, revision, single="name" in request.match_info
        )
        return await self.serve(request, work, revision)

    async def serve(
        self, request: web.Request, work: Work, revision: int | None = None
    ) -> web.Response:
        """Do it once, however often it is asked for under one key. Raises Problem."""
        if work.wish.dry_run:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return _response(await work.do())
        key = intake.read_key(request)
        digest = intake.digest(request.path, work.wish, revision)
        task = self._begin(key, digest, partial(self._do_once, key, digest, work))
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return _response(await asyncio.shield(task))
        except TimeoutError:
            raise Problem(
                504,
                f"no answer within {ANSWER_TIMEOUT_S:g} s; the request is still under way",
                "controller",
                "send it again with the same Idempotency-Key to learn what became of it",
            ) from None

    def _begin(
        self, key: str, digest: str, do: Callable[[], Coroutine[Any, Any, Reply]]
    ) -> asyncio.Task[Reply]:
        """The task that does this; the one that does it already, if there is one."""
        found = self._under_way.get(key)
        if found is not None:
            if found[0] != digest:
                raise _other_body()
            return found[1]
        task = asyncio.create_task(do(), name=f"request {key}")
        self._under_way[key] = (digest, task)
        task.add_done_callback(lambda done: self._ended(key, done))
        return task

    def _ended(self, key: str, task: asyncio.Task[Reply]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # whoever waits raises it; perhaps nobody waits any more

    async def _do_once(self, key: str, digest: str, work: Work) -> Reply:
        before = await self._desk.claim(key, digest)
        if before is not None:
            if before.digest != digest:
                raise _other_body()
            if before.answer:
                return msgspec.json.decode(before.answer, type=Reply)
            raise Problem(
                409,
                "this request was begun before the controller restarted, and its end is unknown",
                "header Idempotency-Key",
                "look at the history; if it is still wanted, send it with a new key",
            )
        reply = await self._do(key, work)
        await self._settle(key, reply)
        return reply

    async def _do(self, key: str, work: Work) -> Reply:
        reply = await work.do()
        log.info(
            "answered an operator",
            key=key,
            kind=work.told,
            services=work.names,
            by=work.wish.by,
            reason=work.wish.reason,
            status=reply.status,
        )
        return reply

    async def _settle(self, key: str, reply: Reply) -> None:
        kept = msgspec.json.encode(reply) if reply.status in FINAL else b""
        await self._desk.settle(key, kept)


class _Work:
    """One thing that is asked for, of one or of all services."""

    def __init__(
        self,
        desk: Desk,
        kind: Kind,
        services: list[ServiceState],
        wish: Wish,
        revision: int | None,
        single: bool,
    ) -> None:
        self._desk = desk
        self.kind = kind
        self._services = services
        self.wish = wish
        self._revision = revision
        self._single = single

    @property
    def told(self) -> str:
        """What is asked for."""
        return self.kind.value

    @property
    def names(self) -> str:
        """The service that is meant, or the scope."""
        return self._services[0].spec.name if self._single else self.wish.scope or "all"

    async def do(self) -> Reply:
        """Ask the rules. Raises Problem only where nothing was asked."""
        if self._single:
            return await self._ask(self._services[0])
        answers = {s.spec.name: await self._ask(s) for s in self._services}
        refused = [name for name, reply in answers.items() if reply.status != 200]
        done = len(answers) - len(refused)
        body: dict[str, Any] = {
            "accepted": not refused,
            "text": f"{self.kind.value}: done for {done} of {len(answers)} services",
            "refused": refused,
            "services": {name: reply.body for name, reply in answers.items()},
        }
        # What was not decided may be asked again: that answer is not kept.
        undecided = [reply.status for reply in answers.values() if reply.status >= 500]
        return reply_of(max(undecided, default=412 if refused else 200), body)

    async def _ask(self, service: ServiceState) -> Reply:
        wish = self.wish
        event = Requested(
            id=uuid.uuid4().hex,
            kind=self.kind,
            service_uid=service.spec.uid,
            by=wish.by,
            reason=wish.reason,
            epoch=wish.epoch or 0,
            loss_bytes=-1 if wish.loss_bytes is None else wish.loss_bytes,
            loss_ms=-1 if wish.loss_ms is None else wish.loss_ms,
            agent=wish.agent,
            for_ms=wish.for_ms or 0,
            scope=wish.scope or (holds.ONE_SERVICE if self.kind is Kind.HOLD else ""),
            dry_run=wish.dry_run,
            proof=wish.proof,
            over_capacity=wish.over_capacity,
            despite_caution=wish.despite_caution,
        )
        # That an approval names another epoch is for the rules to refuse, as unsafe.
        epoch = None if self.kind in JUDGED_BY_EPOCH else wish.epoch
        try:
            answer = await self._desk.submit(event, self._revision, epoch)
        except Conflict as conflict:
            mend = "look at the service again, then decide anew"
            return reply_of(409, ProblemBody(str(conflict), "header If-Match, body: epoch", mend))
        except Busy as busy:
            return reply_of(503, ProblemBody(str(busy), "controller", "send it again in a moment"))
        except RulesFailed as failed:
            return reply_of(500, ProblemBody(str(failed), "controller", "report this as a bug"))
        return self._answered(service.spec.name, answer)

    def _answered(self, name: str, answer: Answer) -> Reply:
        if answer.conflict:
            wait = "wait until it has ended: `saling history` says when; then look again"
            mend = "; ".join(answer.unmet) or wait
            return reply_of(409, ProblemBody(answer.text, "service", mend))
        if not answer.accepted:
            return reply_of(
                412, {"service": name, "refused": answer.text, "unmet": list(answer.unmet)}
            )
        return reply_of(
            200,
            {
                "service": name,
                "accepted": True,
                "text": answer.text,
                "operation": answer.operation_id,
                "dry_run": self.wish.dry_run,
            },
        )


def store_problem(error: StoreError) -> Problem:
    """What a client is told when the store does not answer."""
    return Problem(503, str(error), "store", "mend the store; what is read from memory still works")


def _other_body() -> Problem:
    return Problem(
        409,
        "this Idempotency-Key was used for another request",
        "header Idempotency-Key",
        "take a new key for a new request",
    )


def reply_of(status: int, body: object) -> Reply:
    """An answer with this body."""
    return Reply(status, msgspec.Raw(msgspec.json.encode(body)))


def _response(reply: Reply) -> web.Response:
    return web.Response(
        status=reply.status, body=bytes(reply.body), content_type="application/json"
    )
