"""GET /api/v1/what-if: reads what shall be lost, and asks the rules' what_if.

It runs in a thread, a company of services at a time, on the state as a value, so that the rules'
own loop goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import msgspec
from aiohttp import web

from controller.core.foresight.lost import Lost
from controller.core.foresight.what_if import Forecast, companies, what_if
from controller.status import Status
from controller.web import intake
from controller.web.desk import Problem

KEYS = frozenset({"lose", "cut", "kill_controller", "service"})
ALL_WITHIN_S = 10.0
"""After that no further service is begun; whoever asks waits little longer."""
AT_MOST = 64
"""So many things may be lost at once."""


async def forecast(status: Status, request: web.Request) -> dict[str, Any]:
    """The answer. Raises Problem."""
    lost = read_lost(status, request)
    chosen = list(status.services)
    if request.query.getall("service", []):
        chosen = [
            intake.find_service(status, name, "query: service")
            for name in request.query.getall("service")
        ]
    told: list[Forecast] = []
    end_s = time.monotonic() + ALL_WITHIN_S
    uids = [service.spec.uid for service in chosen]
    for together in companies(status.state, uids):
        if time.monotonic() > end_s:
            raise Problem(
                503,
                f"after {ALL_WITHIN_S:g} s only {len(told)} of {len(chosen)} services are foreseen",
                "query",
                "name some of them with service=",
            )
        wanted = [uid for uid in together if uid in uids]
        told += await asyncio.to_thread(what_if, status.state, lost, wanted, status.now_ms)
    names = [service.spec.name for service in chosen]
    told.sort(key=lambda one: names.index(one.service))
    return {
        "lose": sorted(lost.places),
        "cut": sorted(sorted(cut) for cut in lost.cuts),
        "kill_controller": lost.controller,
        "controller_lost": lost.controller or lost.controller_place in lost.places,
        "all_served": all(one.served for one in told),
        "services": [msgspec.to_builtins(one) for one in told],
    }


def read_lost(status: Status, request: web.Request) -> Lost:
    """What shall be lost. Raises Problem."""
    query = request.query
    unknown = sorted(set(query) - KEYS)
    if unknown or len(query) > AT_MOST:
        raise _unfit(f"unknown keys {json.dumps(unknown)[:200]}, or more than {AT_MOST} of all")
    centre = status.topology.controller.failure_domain
    places = [site.id for site in status.topology.sites]
    known = list(dict.fromkeys([*places, centre]))
    cuts = [_cut(known, text) for text in query.getall("cut", [])]
    lose = [_place(known, "lose", text) for text in query.getall("lose", [])]
    word = query.get("kill_controller", "false")
    if word not in ("true", "false"):
        raise _unfit(f"kill_controller is {json.dumps(word[:80])}: true or false")
    lost = Lost(frozenset(lose), frozenset(cuts), word == "true", centre)
    if not (lost.places or lost.cuts or lost.controller):
        raise _unfit("nothing is lost")
    return lost


def _cut(known: list[str], text: str) -> frozenset[str]:
    ends = frozenset(_place(known, "cut", end) for end in text.split(","))
    if text.count(",") != 1 or len(ends) != 2:
        raise _unfit(f"cut is {json.dumps(text[:80])}: name two places, as in cut=batam,bali")
    return ends


def _place(known: list[str], key: str, name: str) -> str:
    if name in known:
        return name
    raise Problem(
        422,
        f"there is no site {json.dumps(name[:80])}",
        f"query: {key}",
        f"the sites, and the controller's failure domain, are: {', '.join(known)}",
    )


def _unfit(text: str) -> Problem:
    return Problem(422, text, "query", "send lose, cut, kill_controller, service as in the docs")
