"""Symptoms that somebody tells the agent of, over its one port.

    POST   /v1/symptoms        {"kind", "text", "for"}: it is so, for that time at most
    DELETE /v1/symptoms/KIND   it is not so any more
    GET    /v1/symptoms        all that the agent tells of, and until when what was posted counts

Only with a certificate of the cluster's authority, for what is told may move a whole site. This
very host's processes may list without one, and change with none where the agent's file says so.
What was posted outlives the agent, not the host: agents/host/posts_file.py.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Callable

import msgspec
import structlog
from aiohttp import web
from msgspec import Struct

from agents.core.symptoms import POST_LEAST_MS, POST_MOST_MS, Board, Pace, Posts, TooMany, merged
from agents.host.posts_file import PostsFile, PostsWriter
from agents.network.peers import peer_name
from config.checks import OWN_KINDS
from config.problems import Refused
from config.values import parse_duration, parse_name
from protocol.messages import Symptom

SYMPTOMS_PATH = "/v1/symptoms"
BODY_LIMIT_S = 2.0
SAVE_LIMIT_S = 2.0
TEXT_AT_MOST = 500
MAPPED = re.compile("^::ffff:(?=[0-9.]+$)")
"""An IPv4 address, as a socket for both families shows it."""

log = structlog.get_logger("symptoms")


class Posted(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a POST."""

    kind: str
    text: str
    lasts: str = msgspec.field(name="for")


class Shown(Struct, frozen=True):
    """One symptom as it is listed; `left_ms` of one that was posted."""

    kind: str
    text: str
    age_ms: int
    left_ms: int | None = None


class SymptomDesk:
    """Answers the requests."""

    def __init__(
        self,
        board: Board,
        clock: Callable[[], int],
        file: PostsFile,
        posts_without_certificate: bool = False,
    ) -> None:
        """`posts_without_certificate`: whether any process of this host may change something."""
        self.posts = Posts(file.read())
        self._board = board
        self._clock = clock
        self._writer = PostsWriter(file)
        self._is_open = posts_without_certificate
        self._pace = Pace()

    def routes(self) -> list[web.RouteDef]:
        """What the agent's server serves of it."""
        return [
            web.post(SYMPTOMS_PATH, self._post),
            web.delete(SYMPTOMS_PATH + "/{kind}", self._withdraw),
            web.get(SYMPTOMS_PATH, self._list, allow_head=False),
        ]

    def symptoms(self, now_ms: int) -> tuple[Symptom, ...]:
        """All that the agent tells of."""
        return merged([*self._board.symptoms(now_ms), *self.posts.symptoms(now_ms)])

    async def _post(self, request: web.Request) -> web.Response:
        who = self._may_change(request)
        if request.content_type != "application/json":
            return _refusal(415, "the body is no JSON", "send Content-Type: application/json")
        try:
            posted = msgspec.json.decode(await _body(request), type=Posted)
            kind, text, for_ms = _judged(posted)
            post = self.posts.put(kind, text, for_ms, self._clock())
        except Refused as fault:
            return _refusal(422, f"{fault.key}: {fault.message}", fault.mend)
        except (ValueError, RecursionError) as error:
            return _refusal(422, str(error), 'send {"kind": "power", "text": "...", "for": "10m"}')
        except TooMany as error:
            return _refusal(409, str(error), "withdraw one of them first")
        log.warning("a symptom was told", kind=kind, text=text, lasts=posted.lasts, by=who)
        await self._save()
        now_ms = self._clock()
        shown = Shown(kind, text, now_ms - post.since_ms, post.until_ms - now_ms)
        return _answer(shown)

    async def _withdraw(self, request: web.Request) -> web.Response:
        who, kind = self._may_change(request), request.match_info["kind"]
        was_there = self.posts.withdraw(kind, self._clock())
        if was_there:
            log.info("a symptom was withdrawn", kind=kind, by=who)
            await self._save()
        return _answer({"kind": kind, "was_there": was_there})

    async def _list(self, request: web.Request) -> web.Response:
        _admitted(request)
        now_ms = self._clock()
        left_ms = {post.kind: post.until_ms - now_ms for post in self.posts.live(now_ms)}
        shown = [
            Shown(one.kind, one.text, one.age_ms, left_ms.get(one.kind))
            for one in self.symptoms(now_ms)
        ]
        return _answer({"symptoms": shown})

    async def _save(self) -> None:
        """It counts all the same where it cannot be kept."""
        written = asyncio.wrap_future(self._writer.write(self.posts.live(self._clock())))
        done, _ = await asyncio.wait({written}, timeout=SAVE_LIMIT_S)
        problem = written.result() if done else f"not written within {SAVE_LIMIT_S:g} s"
        if problem:
            log.warning("what was posted may end with this life of the agent", error=problem)

    def _may_change(self, request: web.Request) -> str:
        """Who asks. Raises HTTPForbidden, HTTPTooManyRequests."""
        who = _admitted(request, self._is_open)
        wait_ms = self._pace.take(who, self._clock())
        if wait_ms:
            wait_s = -(-wait_ms // 1000)
            raise web.HTTPTooManyRequests(
                text=f"too many changes by {who}: wait for {wait_s} s",
                headers={"Retry-After": str(wait_s)},
            )
        return who


def _admitted(request: web.Request, is_open: bool = True) -> str:
    """Who asks; `is_open`: this host's processes need no certificate. Raises HTTPForbidden."""
    if name := peer_name(request.transport):
        return name
    theirs, ours = _end(request, "peername"), _end(request, "sockname")
    if not theirs or not (theirs == ours or ipaddress.ip_address(theirs).is_loopback):
        raise web.HTTPForbidden(text="only with a certificate of the cluster's authority")
    if not is_open:
        raise web.HTTPForbidden(
            text="only with a certificate of the cluster's authority: use saling-agent symptom as "
            "root or as the agent's user, show the agent's own certificate, or set "
            "symptoms.posts_without_certificate in the agent's file"
        )
    return "a process of this host"


def _end(request: web.Request, which: str) -> str:
    """The address at one end of the connection; empty when it is not known."""
    found = request.transport.get_extra_info(which) if request.transport else None
    return MAPPED.sub("", str(found[0])).partition("%")[0] if found else ""


def _judged(posted: Posted) -> tuple[str, str, int]:
    """Kind, text and time. Raises Refused, with the key in which it is."""
    try:
        kind = parse_name(posted.kind)
    except Refused as fault:
        raise Refused(fault.message, fault.mend, "kind") from None
    if kind in OWN_KINDS:
        mend = "take another, such as power or cooling"
        raise Refused(f"Saling itself tells of {kind}", mend, "kind")
    text = " ".join(posted.text.split())
    if not text or len(text) > TEXT_AT_MOST or not text.isprintable():
        mend = f"say what is not well in 1 to {TEXT_AT_MOST} letters"
        raise Refused("no line of text", mend, "text")
    try:
        for_ms = parse_duration(posted.lasts)
    except Refused as fault:
        raise Refused(fault.message, fault.mend, "for") from None
    if not POST_LEAST_MS <= for_ms <= POST_MOST_MS:
        raise Refused("too short or too long", "give 10s to 7d, and post it again in time", "for")
    return kind, text, for_ms


async def _body(request: web.Request) -> bytes:
    """Raises HTTPRequestTimeout, HTTPRequestEntityTooLarge."""
    try:
        async with asyncio.timeout(BODY_LIMIT_S):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="the body did not arrive in time") from None


def _answer(told: object, status: int = 200) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(told), content_type="application/json"
    )


def _refusal(status: int, error: str, mend: str) -> web.Response:
    return _answer({"error": error, "mend": mend}, status)
