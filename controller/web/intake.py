"""Reads what a client sends, strictly: what is unknown, doubled, too large or unfit is refused."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta, Struct
from msgspec.structs import replace

from controller.core.events import Kind
from controller.core.gates.maintenance import FOR_LEAST_MS, FOR_MOST_MS
from controller.core.model import HeldFor, ServiceState
from controller.status import Status
from controller.web.callers import who
from controller.web.desk import Problem

BODY_AT_MOST_BYTES = 64 * 1024
BODY_TIMEOUT_S = 5.0
HISTORY_AT_MOST = 1000
HISTORY_USUAL = 50

LINE = r"^[^\x00-\x1f\x7f]*$"
KEY = re.compile(r"[\x21-\x7e]{1,128}")
BODY_KEY = re.compile(r" - at `\$\.([a-z_]+)`$")
ETAG = re.compile(r'"([0-9]{1,19})"')

Person = Annotated[str, Meta(min_length=1, max_length=100, pattern=LINE)]
Reason = Annotated[str, Meta(max_length=500, pattern=LINE)]
Time = Annotated[int, Meta(ge=FOR_LEAST_MS, le=FOR_MOST_MS)]

Natural = Annotated[int, Meta(ge=0, le=2**62)]


NEED_REASON = (
    Kind.FAILOVER, Kind.APPROVE, Kind.BEGIN_MAINTENANCE, Kind.FORCE, Kind.HOLD
)  # fmt: skip
NEED_EPOCH = (Kind.APPROVE, Kind.FORCE, Kind.PROVE)
MAY_LOSE = (Kind.APPROVE, Kind.PROVE)
MAY_EXCEED = (Kind.SWITCHOVER, Kind.APPROVE)
HOLDS = (Kind.HOLD, Kind.RELEASE)
KEYS = (
    "by, reason, epoch, loss_bytes, loss_ms, agent, for_ms, scope, proof, dry_run, over_capacity, "
    "despite_caution"
)
Shape = TypeVar("Shape")
ALL, SITE, SERVICE = "all", "site:", "service:"


class Wish(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of every POST."""

    by: Person = ""
    """Who asks; left out where the token says it."""
    reason: Reason = ""
    epoch: Natural | None = None
    """Only while the service is in this epoch."""
    loss_bytes: Natural | None = None
    """Approve: the loss that is accepted."""
    loss_ms: Natural | None = None
    """Approve: the same loss as a time of commits."""
    agent: Annotated[str, Meta(max_length=63, pattern=LINE)] = ""
    """Maintenance: whose absence is announced; the backup's where it is left out."""
    for_ms: Time | None = None
    """Maintenance, hold: for how long."""
    scope: Annotated[str, Meta(max_length=80, pattern=LINE)] = ""
    """Hold and release of more than one service: `all`, `site:NAME` or `service:NAME`."""
    dry_run: bool = False
    over_capacity: bool = False
    """Switchover, approve: also where the site has no room for it."""
    despite_caution: bool = False
    """Switchover: also to a site where caution is on."""
    proof: Reason = ""
    """Force-proof: how it is known that the old primary's host is off and stays off."""


async def read_wish(request: web.Request, kind: Kind) -> Wish:
    """The body of a POST about services. Raises Problem."""
    wish = await read_as(request, Wish, KEYS)
    wish = replace(wish, by=who(request, wish.by))
    _check_wish(wish, kind)
    return wish


async def read_as(request: web.Request, shape: type[Shape], keys: str) -> Shape:
    """The JSON body of a POST, which takes these keys. Raises Problem."""
    if request.content_type != "application/json":
        raise Problem(
            422,
            f"the body is {request.content_type}",
            "header Content-Type",
            "send JSON, with `Content-Type: application/json`",
        )
    raw = await read_body(request)
    try:
        wish = msgspec.json.decode(raw, type=shape)
        json.loads(raw, object_pairs_hook=_unique)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        if isinstance(error, msgspec.ValidationError) and (key := BODY_KEY.search(str(error))):
            text = BODY_KEY.sub("", str(error))
            mend = "docs/http-api.md says under POST what each key takes"
            raise Problem(422, text, f"body: {key[1]}", mend) from None
        raise Problem(
            422,
            f"the body is not understood: {error}",
            "body",
            'send a JSON object such as {"by": "sri", "reason": "maintenance"}; the keys are '
            + keys,
        ) from None
    return wish


def _check_wish(wish: Wish, kind: Kind) -> None:
    if kind in NEED_REASON and not wish.reason.strip() and not wish.dry_run:
        raise Problem(
            422, f"{kind.value} without a reason", "body: reason", "say why, for the history"
        )
    if kind is Kind.PROVE and not wish.proof.strip():
        raise Problem(
            422,
            "a force without a proof",
            "body: proof",
            "say how it is known that the host is off and stays off, looked at after the force",
        )
    if kind is not Kind.PROVE and wish.proof:
        raise Problem(422, f"{kind.value} takes no proof", "body: proof", "leave it out")
    if kind in NEED_EPOCH and wish.epoch is None:
        raise Problem(
            422,
            f"{kind.value} that names no epoch",
            "body: epoch",
            "give the epoch that `explain` shows",
        )
    names_loss = wish.loss_bytes is not None or wish.loss_ms is not None
    if kind not in MAY_LOSE and names_loss:
        raise Problem(
            422,
            f"{kind.value} takes neither loss_bytes nor loss_ms",
            "body: loss_bytes, loss_ms",
            "leave them out; a loss beyond the bound is accepted by approve",
        )
    _check_time(wish, kind)
    if kind not in MAY_EXCEED and wish.over_capacity:
        mend = "leave it out; only a switchover and an approval come over the capacity of a site"
        raise Problem(422, f"{kind.value} takes no over_capacity", "body: over_capacity", mend)
    if wish.scope and kind not in HOLDS:
        raise Problem(422, f"{kind.value} takes no scope", "body: scope", "leave it out")
    if wish.despite_caution and kind is not Kind.SWITCHOVER:
        text = f"{kind.value} takes no despite_caution, for no caution is in its way"
        raise Problem(422, text, "body: despite_caution", "leave it out")


def _check_time(wish: Wish, kind: Kind) -> None:
    begins = kind is Kind.BEGIN_MAINTENANCE
    lasts = begins or kind is Kind.HOLD
    if lasts and wish.for_ms is None:
        raise Problem(
            422,
            "a maintenance without an end" if begins else "a hold without an end",
            "body: for_ms",
            "say for how many milliseconds, a minute to 30 days; who forgets it is reminded then",
        )
    if (not lasts and wish.for_ms is not None) or (not begins and wish.agent):
        raise Problem(
            422,
            f"{kind.value} takes no agent" + ("" if lasts else ", and no for_ms"),
            "body: agent, for_ms",
            "leave them out",
        )


def check_approval(service: ServiceState, wish: Wish) -> None:
    """Raise Problem when an approval of a loss does not name the loss."""
    whole = wish.loss_bytes is not None and wish.loss_ms is not None
    if service.record.held_for is HeldFor.LOSS and not whole:
        raise Problem(
            422,
            "an approval that does not name the loss in bytes and as a time",
            "body: loss_bytes, loss_ms",
            "give both figures that `explain` shows and you accept",
        )


async def read_body(request: web.Request) -> bytes:
    """All of it, in time. Raises Problem."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await request.read()
    except TimeoutError:
        raise Problem(
            408,
            f"the body did not come within {BODY_TIMEOUT_S:g} s",
            "body",
            "send it at once",
        ) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in the object")
    return found


def find_service(status: Status, name: str, where: str = "path") -> ServiceState:
    """The service of that name. Raises Problem, which lists those that there are."""
    for service in status.services:
        if service.spec.name == name:
            return service
    names = ", ".join(service.spec.name for service in status.services) or "none"
    raise Problem(
        404, f"there is no service {json.dumps(name[:80])}", where, f"the services are: {names}"
    )


def find_scope(status: Status, scope: str, where: str) -> tuple[ServiceState, ...]:
    """The services of `all`, `site:NAME` or `service:NAME`. Raises Problem."""
    if scope == ALL:
        return status.services
    if scope.startswith(SITE):
        return _services_at(status, scope.removeprefix(SITE), where)
    if not scope.startswith(SERVICE):
        shown = json.dumps(scope[:80])
        mend = "give all, site:NAME or service:NAME"
        raise Problem(422, f"{shown} says nothing that can be held", where, mend)
    name = scope.removeprefix(SERVICE)
    found = tuple(service for service in status.services if service.spec.name == name)
    if not found:
        names = ", ".join(service.spec.name for service in status.services) or "none"
        text = f"there is no service {json.dumps(name[:80])}"
        raise Problem(422, text, where, f"the services are: {names}")
    return found


def _services_at(status: Status, site: str, where: str) -> tuple[ServiceState, ...]:
    """Those with a copy there, primary or backup."""
    sites = [one.id for one in status.topology.sites]
    if site not in sites:
        text = f"there is no site {json.dumps(site[:80])}"
        raise Problem(422, text, where, f"the sites are: {', '.join(sites)}")
    return tuple(s for s in status.services if any(r.site == site for r in s.spec.replicas))


def read_key(request: web.Request) -> str:
    """The Idempotency-Key of a request that changes something. Raises Problem."""
    key = request.headers.get("Idempotency-Key", "")
    if KEY.fullmatch(key) is None:
        raise Problem(
            422,
            "no usable Idempotency-Key" if key else "no Idempotency-Key",
            "header Idempotency-Key",
            "send 1 to 128 visible ASCII characters, new for each thing that you want, and the "
            "same when you ask again because no answer came",
        )
    return key


def read_revision(request: web.Request) -> int | None:
    """The revision in If-Match, if one is given. Raises Problem."""
    text = request.headers.get("If-Match")
    if text is None:
        return None
    match = ETAG.fullmatch(text.strip())
    if match is None:
        raise Problem(
            422,
            "If-Match is no revision",
            "header If-Match",
            'send the ETag of `explain` as it is, such as "12"',
        )
    return int(match.group(1))


def read_limit(request: web.Request) -> int:
    """How many lines of history are wanted. Raises Problem."""
    text = request.query.get("limit", str(HISTORY_USUAL))
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= HISTORY_AT_MOST:
        raise Problem(
            422,
            f"limit is {json.dumps(text[:80])}",
            "query: limit",
            f"send a number from 1 to {HISTORY_AT_MOST}",
        )
    return int(text)


def digest(path: str, wish: object, revision: int | None) -> str:
    """What makes two requests the same one."""
    same = msgspec.json.encode([path, wish, revision])
    return hashlib.sha256(same).hexdigest()
