"""An integrity hold: how much of its time is over, and how it is told.

While the data of a primary are suspected (an intruder encrypts them, say), nobody takes over,
for replication carries the damage too. The time is counted as that of a maintenance is: on the
controller's own clock, and written down at every quarter.
"""

from __future__ import annotations

from controller.core.events import Requested
from controller.core.gates.maintenance import QUARTERS, left, span
from controller.core.model import Hold, ServiceState
from controller.core.moment.view import View

ONE_SERVICE = "service"
"""The scope of a hold that was placed on this service alone."""
REASON_AT_MOST = 500
WITH = " (with the hold of "


def spent_ms(service: ServiceState, now_ms: int) -> int:
    """How much of the hold's time is over; 0 without one."""
    hold = service.record.hold
    return hold.spent_ms + now_ms - service.hold_ms if hold else 0


def left_ms(service: ServiceState, now_ms: int) -> int:
    """What is left of it; 0 without one."""
    hold = service.record.hold
    return max(0, hold.for_ms - spent_ms(service, now_ms)) if hold else 0


def time_is_over(view: View) -> bool:
    """Whether there is a hold, and all of its time is over."""
    return view.record.hold is not None and left_ms(view.service, view.now_ms) == 0


def quarter_is_over(view: View) -> bool:
    """Whether a further quarter of the time is to be written down."""
    hold = view.record.hold
    if hold is None or time_is_over(view):
        return False
    since_ms = spent_ms(view.service, view.now_ms) - hold.spent_ms
    return since_ms >= max(1, hold.for_ms // QUARTERS)


def asked_ms(view: View) -> int:
    """For how long a hold will last that is asked for now: a further one never shortens it."""
    asked = view.request.for_ms if view.request else 0
    return max(asked, left_ms(view.service, view.now_ms))


def asked_reason(view: View) -> str:
    """Why a hold is placed that is asked for now: it also stands for the one that it replaces."""
    asked, hold = view.request, view.record.hold
    reason = asked.reason if asked else ""
    if asked is None or hold is None:
        return reason
    both = f"{reason}{WITH}{_told(hold)})"[:REASON_AT_MOST]
    return hold.reason if _is_again(asked, hold) else both


def facts(view: View) -> dict[str, str]:
    """The words that sentences may use."""
    hold, asked = view.record.hold, view.request
    is_further = hold is not None and asked is not None and not _is_again(asked, hold)
    return {
        "hold_asked_for": span(asked_ms(view)),
        "hold_asked_on": where(view.request.scope if view.request else ""),
        "hold_before": f", and stands for that of {_told(hold)}" if hold and is_further else "",
        "hold_by": _told(hold) if hold else "nobody",
        "hold_on": where(hold.scope) if hold else "nothing",
        "hold_for": span(hold.for_ms) if hold else "no time",
        "hold_left": left(left_ms(view.service, view.now_ms)) if hold else "none is on",
        "hold_spent": span(spent_ms(view.service, view.now_ms)),
    }


def _is_again(asked: Requested, hold: Hold) -> bool:
    """Whether the same person asks for the same hold once more."""
    reasons = (hold.reason, hold.reason.partition(WITH)[0])
    return asked.by == hold.by and asked.reason in reasons


def _told(hold: Hold) -> str:
    return f"{hold.by}: {hold.reason or 'no reason given'}"


def where(scope: str) -> str:
    """`this service`, `site batam`, `all services`."""
    named = {"": "this service", ONE_SERVICE: "this service", "all": "all services"}
    return named.get(scope, scope.replace(":", " "))
