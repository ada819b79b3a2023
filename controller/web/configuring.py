"""POST /api/v1/reload: the controller reads its configuration anew."""

from __future__ import annotations

from typing import Protocol

import msgspec
from aiohttp import web

from controller.core.events import Kind
from controller.inbox import Busy, RulesFailed
from controller.reload.reload import Reloaded
from controller.specs import Wish
from controller.web import intake
from controller.web.answers import json_answer
from controller.web.desk import Problem

OK, REFUSED, UNUSABLE = 200, 412, 422


class Reloading(Protocol):
    """Who reads the file."""

    async def reload(self, wish: Wish) -> Reloaded:
        """Take what the file says now, or say why not. Raises Busy, RulesFailed, StoreError."""


class Configuring:
    """The one route. It may be sent again as often as one likes: what is in force stays so."""

    def __init__(self, reloads: Reloading) -> None:
        self._reloads = reloads

    def routes(self) -> list[web.RouteDef]:
        """For the application."""
        return [web.post("/api/v1/reload", self.reload)]

    async def reload(self, request: web.Request) -> web.Response:
        """200: taken, or would be; 412: refused by the rules; 422: the file cannot be used."""
        asked = await intake.read_wish(request, Kind.PAUSE)
        wish = Wish(by=asked.by, reason=asked.reason, dry_run=asked.dry_run)
        try:
            told = await self._reloads.reload(wish)
        except Busy as busy:
            raise Problem(503, str(busy), "controller", "send it again in a moment") from None
        except RulesFailed as failed:
            mend = "nothing was changed; see the controller's log, and report it"
            raise Problem(500, str(failed), "controller", mend) from None
        body = msgspec.to_builtins(told)
        status = OK
        if not told.usable:
            status = UNUSABLE
            mend = "correct each finding in the file, then `saling reload` again"
            body |= {"error": told.text, "where": told.file, "mend": mend}
        elif told.unmet:
            status = REFUSED
            body |= {"refused": told.text}
        return json_answer(body, status)
