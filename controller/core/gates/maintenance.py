"""The announced absence of a backup: how much of its time is over, and how it is told.

The time is counted on the controller's own clock and written down at every quarter of it, so
that a controller that restarts forgets a quarter at most. Wall time has no part in it: a
clock that is set must neither end a maintenance nor hide that it is overdue.
"""

from __future__ import annotations

from controller.core.model import ServiceState
from controller.core.moment.view import View

QUARTERS = 4
SETTLE_LEASES = 5
"""A backup in maintenance must follow for so many leases before it counts as back: patches often
restart an engine shortly before the host."""

MINUTE_MS = 60_000
FOR_LEAST_MS = MINUTE_MS
FOR_MOST_MS = 30 * 24 * 60 * MINUTE_MS
"""A backup that is away for longer is lost, not in maintenance."""


def spent_ms(service: ServiceState, now_ms: int) -> int:
    """How much of the announced time is over; 0 when nothing is announced."""
    announced = service.record.maintenance
    return announced.spent_ms + now_ms - service.maintenance_ms if announced else 0


def left_ms(service: ServiceState, now_ms: int) -> int:
    """What is left of the announced time, negative once it is overdue."""
    announced = service.record.maintenance
    return announced.for_ms - spent_ms(service, now_ms) if announced else 0


def time_is_over(view: View) -> bool:
    """Whether there is a maintenance, and all of its time is over."""
    return view.record.maintenance is not None and left_ms(view.service, view.now_ms) <= 0


def overdue_is_new(view: View) -> bool:
    """Whether the record does not say yet that the time is over."""
    announced = view.record.maintenance
    return announced is not None and announced.spent_ms < announced.for_ms


def quarter_is_over(view: View) -> bool:
    """Whether a further quarter of the time is to be written down."""
    announced = view.record.maintenance
    if announced is None or time_is_over(view):
        return False
    since_ms = spent_ms(view.service, view.now_ms) - announced.spent_ms
    return since_ms >= max(1, announced.for_ms // QUARTERS)


def is_back(view: View) -> bool:
    """Whether the backup has followed closely for long enough to end its maintenance."""
    since_ms = view.service.following_since_ms
    return since_ms >= 0 and view.now_ms - since_ms >= SETTLE_LEASES * view.record.terms.ttl_ms


def names_backup(view: View) -> bool:
    """Whether what is announced is the absence of the backup, and of no other copy."""
    request, backup = view.request, view.record.backup
    return bool(backup) and (request is None or request.agent in ("", backup))


def facts(view: View) -> dict[str, str]:
    """The words that sentences may use."""
    announced, request = view.record.maintenance, view.request
    asked_ms = request.for_ms if request else 0
    return {
        "asked_for": span(asked_ms),
        "asked_copy": _asked_copy(view),
        "maintenance_for": span(announced.for_ms) if announced else "no time",
        "maintenance_by": _by(announced.by, announced.reason) if announced else "nobody",
        "maintenance_left": left(left_ms(view.service, view.now_ms)),
        "maintenance_spent": span(spent_ms(view.service, view.now_ms)),
    }


def left(rest_ms: int) -> str:
    """`40 min left`, `overdue by 5 min`."""
    return f"{span(rest_ms)} left" if rest_ms > 0 else f"overdue by {span(-rest_ms)}"


def span(duration_ms: int) -> str:
    """A time as people plan it: `45 s`, `40 min`, `2 h`, `2 h 5 min`, `3 d`."""
    if duration_ms < 2 * MINUTE_MS:
        return f"{duration_ms // 1000} s"
    hours, minutes = divmod(duration_ms // MINUTE_MS, 60)
    days, hours_of_day = divmod(hours, 24)
    if hours >= 48:
        return f"{days} d {hours_of_day} h" if hours_of_day else f"{days} d"
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _by(by: str, reason: str) -> str:
    return f"{by}: {reason}" if reason else by


def _asked_copy(view: View) -> str:
    """What the agent that was named is to the service."""
    record, agent = view.record, view.request.agent if view.request else ""
    if agent == record.primary:
        return (
            f"{agent} holds the primary of {record.service}: switch over first, with "
            f"`saling switchover {record.service}`"
        )
    if not record.backup:
        return f"{record.service} has no backup"
    return f"{agent} holds no copy of {record.service}, whose backup is {record.backup}"
