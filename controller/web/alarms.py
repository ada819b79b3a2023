"""POST /api/v1/alertmanager: a firing alert whose labels say so places an integrity hold.

It takes what Alertmanager's webhook sends (version 4). A notification that comes again, which
Alertmanager does for as long as an alert fires, is known by the alert's fingerprint and start,
and changes nothing: not even where somebody has released the hold since. Where the hold ended
by its time instead, it is placed again. A resolved alert releases nothing either: whether data
are sound again, a person decides.
"""

from __future__ import annotations

import hashlib
import json
import re

import msgspec
from msgspec import Struct

from config.problems import Refused
from config.values import parse_duration
from controller.core.gates.maintenance import FOR_LEAST_MS, FOR_MOST_MS
from controller.core.model import ServiceState
from controller.status import Status
from controller.web.desk import Problem
from controller.web.intake import find_scope

VERSION = "4"
LABEL = "saling_hold"
LABEL_FOR = "saling_hold_for"
USUAL_FOR_MS = 4 * 60 * 60 * 1000
BY_AT_MOST, REASON_AT_MOST = 100, 500
CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


class Alert(Struct, frozen=True):
    """One alert of a notification, as far as it is read."""

    status: str
    labels: dict[str, str]
    startsAt: str  # noqa: N815
    annotations: dict[str, str] = {}
    fingerprint: str = ""


class Notification(Struct, frozen=True):
    """What Alertmanager sends; what it has besides is not read."""

    version: str
    alerts: tuple[Alert, ...]


class Alarm(Struct, frozen=True):
    """A hold that an alert asks for."""

    key: str
    """The same for every notification of one alert that fires."""
    name: str
    scope: str
    services: tuple[ServiceState, ...]
    by: str
    reason: str
    for_ms: int


class Heard(Struct, frozen=True):
    """A notification, read: the holds that it asks for, and what is said of its other alerts."""

    alarms: tuple[Alarm, ...]
    others: tuple[dict[str, str], ...]


def hear(raw: bytes, status: Status) -> Heard:
    """Read a notification whole. Raises Problem; then nothing of it may be done."""
    try:
        told = msgspec.json.decode(raw, type=Notification)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Problem(
            422,
            f"the body is not understood: {error}",
            "body",
            "send what Alertmanager's webhook_configs send, version 4",
        ) from None
    if told.version != VERSION:
        raise Problem(
            422,
            f"the notification has version {json.dumps(told.version[:20])}",
            "body: version",
            f"this controller reads version {VERSION}, that of Alertmanager's webhook",
        )
    asking = [a for a in told.alerts if LABEL in a.labels and a.status == "firing"]
    rest = [a for a in told.alerts if a not in asking]
    return Heard(tuple(_alarm(a, status) for a in asking), tuple(_other(a) for a in rest))


def ran_out(alarm: Alarm) -> tuple[ServiceState, ...]:
    """The services whose hold ended by its time, so that nobody has said that they are sound."""
    return tuple(s for s in alarm.services if s.record.hold is None and s.record.hold_ran_out)


def _alarm(alert: Alert, status: Status) -> Alarm:
    name = _line(alert.labels.get("alertname", "")) or "an alert without a name"
    scope = alert.labels[LABEL]
    services = find_scope(status, scope, f"label {LABEL} of {name[:80]}")
    told = alert.annotations.get("summary") or alert.annotations.get("description") or ""
    return Alarm(
        key=_key(alert),
        name=name,
        scope=scope,
        services=services,
        by=f"alertmanager: {name}"[:BY_AT_MOST],
        reason=(_line(told) or "the alert says no more")[:REASON_AT_MOST],
        for_ms=_time(alert, name),
    )


def _key(alert: Alert) -> str:
    labels = sorted(alert.labels.items())
    same = msgspec.json.encode([alert.fingerprint or labels, alert.startsAt])
    return f"alertmanager {hashlib.sha256(same).hexdigest()}"


def _time(alert: Alert, name: str) -> int:
    text = alert.labels.get(LABEL_FOR)
    if text is None:
        return USUAL_FOR_MS
    try:
        for_ms = parse_duration(text)
    except Refused:
        for_ms = -1
    if not FOR_LEAST_MS <= for_ms <= FOR_MOST_MS:
        raise Problem(
            422,
            f"{json.dumps(text[:40])} is no time of a hold",
            f"label {LABEL_FOR} of {name[:80]}",
            "give a minute to 30 days, such as 90m or 4h",
        )
    return for_ms


def _other(alert: Alert) -> dict[str, str]:
    """What is done for an alert that asks for no hold: nothing, and why."""
    name = _line(alert.labels.get("alertname", "")) or "an alert without a name"
    if LABEL not in alert.labels:
        text = f"nothing is done: it has no label {LABEL}"
    else:
        text = (
            "nothing is done: a hold that it placed goes on until its time is over, or until a "
            "person ends it with `saling release`"
        )
    return {"alert": name, "status": _line(alert.status)[:20], "text": text}


def _line(text: str) -> str:
    return CONTROL.sub(" ", text).strip()[:REASON_AT_MOST]
