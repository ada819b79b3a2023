"""GET /api/v1/timeline: what happened, of one choice, as a whole."""

from __future__ import annotations

import asyncio
import json
import re
import time

import msgspec
from aiohttp import web

from config.topology import Topology
from controller.timeline.gather import Choice, Lines, timeline
from controller.web.answers import json_answer
from controller.web.desk import Desk, Problem
from controller.web.intake import find_service
from controller.web.turn import Turn

LOOKED_AT = 5_000
"""So many lines of each history are looked at, the newest: reading them must hold up no change."""

ENTRIES_AT_MOST = 2_000
NAMED = 5
WAIT_S = 5.0
"""So long a caller waits while a timeline is made for another one."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,159}")
NUMBER = re.compile(r"[0-9]{1,15}")
KEYS = ("last", "operation", "plan", "service", "site", "since_ms", "until_ms", "limit")


class TimelineRoutes:
    """What the API has of timelines."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._making = Turn("timeline", WAIT_S)

    def routes(self) -> list[web.RouteDef]:
        """The paths, to be added to the application."""
        return [web.get("/api/v1/timeline", self.show)]

    async def show(self, request: web.Request) -> web.Response:
        """The timeline of a choice."""
        topology = self._desk.status.topology
        choice = _choice(request)
        if choice.service:
            find_service(self._desk.status, choice.service, "query: service")
        if choice.site and choice.site not in [site.id for site in topology.sites]:
            known = ", ".join(site.id for site in topology.sites)
            text = f"there is no site {json.dumps(choice.site)}"
            raise Problem(404, text, "query: site", f"the sites are: {known}")
        async with self._making.taken():
            lines = await self._lines(choice)
            # Thousands of lines are put together: beside the event loop, which renews leases.
            raw = await asyncio.to_thread(_encoded, topology, lines, choice)
        return json_answer(msgspec.Raw(raw))

    async def _lines(self, choice: Choice) -> Lines:
        changes, plans, happenings = await self._desk.lines(LOOKED_AT)
        ends = [
            found[-1].at_ms
            for found in (changes, plans, happenings)
            if len(found) >= LOOKED_AT and found
        ]
        # The newest stand first: what is older than the last was not looked at.
        whole = all(end_ms < choice.since_ms for end_ms in ends)
        return Lines(changes, plans, happenings, whole)


def _encoded(topology: Topology, lines: Lines, choice: Choice) -> bytes:
    """The timeline as it is sent. Raises Problem for an operation or a plan that is not there."""
    operations = (one.transition.operation for one in lines.changes)
    _require(choice.operation, "operation", [one.id for one in operations if one])
    _require(choice.plan, "plan", [one.change.plan_id for one in lines.plans])
    return msgspec.json.encode(timeline(topology, lines, choice, time.time_ns() // 1_000_000))


def _require(name: str, what: str, known: list[str]) -> None:
    if not name or name in known:
        return
    # The newest stand first.
    newest = ", ".join(list(dict.fromkeys(known))[:NAMED]) or "none"
    text = f"no {what} {json.dumps(name)} in the newest {LOOKED_AT} lines of the history"
    raise Problem(404, text, f"query: {what}", f"the newest are: {newest}")


def _choice(request: web.Request) -> Choice:
    query = request.query
    unknown = [key for key in query if key not in KEYS]
    if unknown or len(query) != len(set(query)):
        what = json.dumps(unknown[0][:80]) if unknown else "a key that stands twice"
        raise Problem(422, f"{what} is not understood", "query", f"the keys are {', '.join(KEYS)}")
    for key in ("operation", "plan", "service", "site"):
        if key in query and NAME.fullmatch(query[key]) is None:
            raise Problem(
                422,
                f"{json.dumps(query[key][:80])} is no name",
                f"query: {key}",
                "give it as history and timeline show it",
            )
    if query.get("last", "false") not in ("true", "false"):
        raise Problem(422, "last is neither true nor false", "query: last", "send last=true")
    last = query.get("last") == "true"
    if last and not query.keys().isdisjoint({"operation", "plan", "since_ms", "until_ms"}):
        mend = "leave the others out, or last"
        raise Problem(422, "last chooses the time by itself", "query: last", mend)
    since_ms = _number(request, "since_ms", 0, 2**53)
    until_ms = _number(request, "until_ms", 2**53, 2**53)
    if until_ms < since_ms:
        text = "until_ms is before since_ms, so that nothing lies between them"
        raise Problem(422, text, "query: until_ms", "change them over")
    return Choice(
        last=last,
        operation=query.get("operation", ""),
        plan=query.get("plan", ""),
        service=query.get("service", ""),
        site=query.get("site", ""),
        since_ms=since_ms,
        until_ms=until_ms,
        limit=max(1, _number(request, "limit", 200, ENTRIES_AT_MOST)),
    )


def _number(request: web.Request, key: str, usual: int, most: int) -> int:
    text = request.query.get(key)
    if text is None:
        return usual
    if NUMBER.fullmatch(text) is None:
        mend = "send whole milliseconds since 1970" if key != "limit" else "send a whole number"
        raise Problem(422, f"{key} is {json.dumps(text[:80])}", f"query: {key}", mend)
    if int(text) > most:
        raise Problem(422, f"{key} is too large", f"query: {key}", f"send {most} at most")
    return int(text)
