"""Who calls: by the one token of all, or by a token of his own that names him.

With operators declared, `by` is who the token says. Each token is compared in full, so that the
time that it takes tells nothing of it; none is ever logged or shown.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from config.topology import OperatorRole
from controller.core.gates.approvals import same_person
from controller.web.desk import Problem

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ALARMS = "/api/v1/alertmanager"
FEEDS = "/api/v1/hazards/"
READS = ("GET", "HEAD")


@dataclass(frozen=True)
class Caller:
    """One who has a token of his own."""

    name: str
    role: OperatorRole
    token: str = field(repr=False)

    def may(self, request: web.Request) -> bool:
        """Whether this role may ask for that."""
        if request.method in READS or self.role is OperatorRole.OPERATOR:
            return True
        posts_alarm = request.path == ALARMS or request.path.startswith(FEEDS)
        return self.role is OperatorRole.ALARM and posts_alarm


CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)


def authorize(token: str | None, callers: tuple[Caller, ...]) -> Any:
    """The middleware that lets in who has a token, where there is any."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith("/api/") or (token is None and not callers):
            return await handler(request)
        given = request.headers.get("Authorization", "").encode(errors="replace")
        common = token is not None and _is(given, token)
        found = [caller for caller in callers if _is(given, caller.token)]
        if not common and not found:
            raise Problem(
                401,
                "no valid token",
                "header Authorization",
                "send `Authorization: Bearer <token>` with the token of api_token_file, or your "
                "own of operators",
            )
        for caller in found:
            if not caller.may(request):
                raise Problem(
                    403,
                    f"{caller.name} has the role {caller.role.value}, which may not ask for this",
                    "header Authorization",
                    "ask as somebody with the role operator",
                )
            request[CALLER] = caller
        return await handler(request)

    return guard


def who(request: web.Request, claimed: str) -> str:
    """Who asks: whom the token names, else who he says he is. Raises Problem."""
    caller: Caller | None = request.get(CALLER)
    if caller is None:
        if not claimed:
            raise Problem(422, "nobody asks", "body: by", "say who asks, 1 to 100 characters")
        return claimed
    if claimed and not same_person(claimed, caller.name):
        raise Problem(
            403,
            f"the token is that of {caller.name}, not of {claimed}",
            "body: by",
            "leave `by` out, or send that person's own token",
        )
    return caller.name


def _is(given: bytes, token: str) -> bool:
    return hmac.compare_digest(given, f"Bearer {token}".encode())
