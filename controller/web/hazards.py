"""/api/v1/hazards: documents of the feeds are posted; /api/v1/sites/NAME/caution: a person's word.

Neither asks for an Idempotency-Key: what is said twice changes nothing the second time.
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

from config.topology import Site
from controller.core.actions import Answer
from controller.core.events import Ask, Cautioned, CautionEnded
from controller.core.site_model import Caution
from controller.hazards.desk import DOCUMENT_AT_MOST_BYTES, HazardDesk, NoSuchFeed
from controller.hazards.quakes import UnfitDocument
from controller.inbox import Busy, RulesFailed
from controller.status import Status
from controller.web.answers import json_answer
from controller.web.callers import who
from controller.web.cautions import brief, caution_views
from controller.web.desk import Desk, Problem
from controller.web.intake import BODY_TIMEOUT_S, LINE, Person, Reason, Time, read_body

ANSWER_TIMEOUT_S = 15.0
LEVELS = {1: "I (Normal)", 2: "II (Waspada)", 3: "III (Siaga)", 4: "IV (Awas)"}
NORMAL = 1
VOLCANO_FOR_MS = 7 * 24 * 60 * 60 * 1000
"""A level lasts for weeks: who forgets it is asked anew after one."""

Mountain = Annotated[str, Meta(max_length=60, pattern=LINE)]
Level = Annotated[int, Meta(ge=NORMAL, le=max(LEVELS))]


class CautionWish(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST .../caution."""

    by: Person = ""
    reason: Reason = ""
    for_ms: Time | None = None
    volcano: Mountain = ""
    """Whose level it is; empty where the reason says all."""
    level: Level | None = None


class EndWish(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST .../caution-end."""

    by: Person = ""
    reason: Reason = ""
    caution: Annotated[str, Meta(max_length=160, pattern=LINE)] = ""
    """The id of one; all of the site where it is left out."""


class HazardRoutes:
    """What the API has of feeds and cautions."""

    def __init__(self, desk: Desk, hazards: HazardDesk) -> None:
        self._desk = desk
        self._hazards = hazards

    def routes(self) -> list[web.RouteDef]:
        """The paths, to be added to the application."""
        return [
            web.get("/api/v1/hazards", self.show),
            web.post("/api/v1/hazards/{feed}", self.posted),
            web.post("/api/v1/sites/{site}/caution", self.caution),
            web.post("/api/v1/sites/{site}/caution-end", self.end),
        ]

    async def show(self, _request: web.Request) -> web.Response:
        """The feeds, and all cautions that are on."""
        feeds = msgspec.to_builtins(self._hazards.feeds())
        return json_answer({"feeds": feeds, "cautions": caution_views(self._desk.status)})

    async def posted(self, request: web.Request) -> web.Response:
        """A document of a feed."""
        name = request.match_info["feed"]
        try:
            self._hazards.feed(name)
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                taken = await self._hazards.take(name, await _document(request))
        except NoSuchFeed:
            known = ", ".join(feed.name for feed in self._hazards.feeds()) or "none"
            mend = f"declare it under hazards: feeds:, or name one of those: {known}"
            text = f"there is no feed {json.dumps(name[:80])}"
            raise Problem(404, text, "path", mend) from None
        except UnfitDocument as error:
            mend = "send the feed's document as it is; docs/hazards.md says which are read"
            raise Problem(422, str(error), "body", mend) from None
        except (Busy, RulesFailed) as error:
            raise Problem(503, str(error), "controller", "send it again in a moment") from None
        told = {**msgspec.to_builtins(taken), "cautions": [brief(c) for c in taken.cautions]}
        return json_answer(told)

    async def caution(self, request: web.Request) -> web.Response:
        """Care is to be taken at a site; or at level I no more, for this volcano."""
        site = _site(self._desk.status, request.match_info["site"])
        wish = await _read(request, CautionWish)
        by = who(request, wish.by)
        _check(wish)
        if wish.level == NORMAL:
            named, now = _volcano_id(wish.volcano), _level(wish)
            ended = CautionEnded(uuid.uuid4().hex, site.id, by, wish.reason, named, now)
            return await self._ask(ended, site)
        caution = _volcano(wish, site, by) if wish.volcano else _by_hand(wish, site, by)
        event = Cautioned((caution,), caution.begun_at_ms, uuid.uuid4().hex)
        return await self._ask(event, site)

    async def end(self, request: web.Request) -> web.Response:
        """Care need not be taken any more."""
        site = _site(self._desk.status, request.match_info["site"])
        wish = await _read(request, EndWish)
        by = who(request, wish.by)
        event = CautionEnded(uuid.uuid4().hex, site.id, by, wish.reason, wish.caution)
        return await self._ask(event, site)

    async def _ask(self, event: Ask, site: Site) -> web.Response:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                answer: Answer = await self._desk.submit(event)
        except Busy as busy:
            raise Problem(503, str(busy), "controller", "send it again in a moment") from None
        except RulesFailed as failed:
            raise Problem(500, str(failed), "controller", "report this as a bug") from None
        if not answer.accepted:
            told = {"site": site.id, "refused": answer.text, "unmet": list(answer.unmet)}
            return json_answer(told, status=412)
        return json_answer({"site": site.id, "accepted": True, "text": answer.text})


def _by_hand(wish: CautionWish, site: Site, by: str) -> Caution:
    assert wish.for_ms is not None
    return Caution(
        site=site.id,
        id=f"hand:{by}",
        source=by,
        text=wish.reason,
        begun_at_ms=_wall_ms(),
        for_ms=wish.for_ms,
        by=by,
    )


def _volcano(wish: CautionWish, site: Site, by: str) -> Caution:
    return Caution(
        site=site.id,
        id=_volcano_id(wish.volcano),
        source=by,
        text=_level(wish),
        begun_at_ms=_wall_ms(),
        for_ms=wish.for_ms or VOLCANO_FOR_MS,
        by=by,
        reason=wish.reason,
    )


def _level(wish: CautionWish) -> str:
    assert wish.level is not None
    return f"volcano {wish.volcano} is at level {LEVELS[wish.level]}"


def _volcano_id(name: str) -> str:
    """The same, however it is spaced or capitalised."""
    return "volcano:" + "-".join(name.casefold().split())


def _check(wish: CautionWish) -> None:
    if bool(wish.volcano.strip()) != (wish.level is not None):
        raise Problem(
            422,
            "a volcano and its level go together",
            "body: volcano, level",
            "give both, the level as a number from 1 (Normal) to 4 (Awas), or neither",
        )
    if not wish.volcano and (wish.for_ms is None or not wish.reason.strip()):
        raise Problem(
            422,
            "a caution without a reason or an end",
            "body: reason, for_ms",
            "say why, and for how many milliseconds, a minute to 30 days",
        )


def _site(status: Status, name: str) -> Site:
    for site in status.topology.sites:
        if site.id == name:
            return site
    known = ", ".join(site.id for site in status.topology.sites)
    text = f"there is no site {json.dumps(name[:80])}"
    raise Problem(404, text, "path", f"the sites are: {known}")


async def _read(request: web.Request, shape: type[Any]) -> Any:
    if request.content_type != "application/json":
        mend = "send JSON, with `Content-Type: application/json`"
        raise Problem(422, f"the body is {request.content_type}", "header Content-Type", mend)
    try:
        return msgspec.json.decode(await read_body(request), type=shape)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        mend = "docs/http-api.md says what it takes"
        raise Problem(422, f"the body is not understood: {error}", "body", mend) from None


async def _document(request: web.Request) -> bytes:
    """The body, larger than others may be. Raises Problem."""
    raw = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for part in request.content.iter_chunked(2**16):
                raw += part
                if len(raw) > DOCUMENT_AT_MOST_BYTES:
                    text = f"larger than {DOCUMENT_AT_MOST_BYTES} bytes"
                    mend = "send a feed of fewer days, or of stronger earthquakes"
                    raise Problem(413, text, "body", mend)
    except TimeoutError:
        text = f"the body did not come within {BODY_TIMEOUT_S:g} s"
        raise Problem(408, text, "body", "send it at once") from None
    return bytes(raw)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
