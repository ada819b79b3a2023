"""Leave to lose data: whose it is, what it covers, and how it is told.

An approval names an epoch and a loss, in bytes and as a time. It is good for one failover and
for ten minutes, and ends with the life of the controller that took it. Where the tier asks for
two people, each of them must name at least what is lost, and they must be different ones.
"""

from __future__ import annotations

from controller.core.gates.maintenance import span
from controller.core.model import Approval, HeldFor
from controller.core.moment.view import View


def covers(view: View, loss_bytes: int, loss_ms: int) -> bool:
    """Whether these figures are at least what would be lost now, as far as that is known."""
    lost_bytes, lost_ms = view.loss_bytes, view.loss_ms
    enough = lost_bytes is None or loss_bytes >= lost_bytes
    return enough and (lost_ms is None or loss_ms >= lost_ms)


def within_bound(view: View) -> bool:
    """Whether what would be lost now is known, and no more than may be without leave."""
    return view.loss_bytes is not None and view.loss_bytes <= view.bound_bytes


def bears_loss(view: View) -> bool:
    """Whether what would be lost is within the bound, or accepted. What nobody can know, only a
    person can bear. The bound is one in bytes alone."""
    loss, loss_ms, approval = view.loss_bytes, view.loss_ms, view.record.approval
    if loss is None or loss > view.bound_bytes:
        if approval is not None and approval.over_capacity and approval.loss_bytes < 0:
            return False
        in_time = loss_ms is None or approval is None or loss_ms <= approval.loss_ms
        return view.approved and in_time and (loss is None or loss <= view.accepted_loss_bytes)
    return True


def fits(view: View) -> bool:
    """Whether what an operator accepts is this loss, of this epoch."""
    request = view.request
    if request is None or request.epoch != view.record.epoch:
        return False
    return covers(view, request.loss_bytes, request.loss_ms)


def first_person(view: View) -> Approval | None:
    """What one person accepted, if it still covers the loss and is still good."""
    noted = view.record.approval
    if noted is None or noted.epoch != view.record.epoch or not view.approval_left_ms:
        return None
    if view.record.held_for is HeldFor.CAPACITY:
        bears = covers(view, noted.loss_bytes, noted.loss_ms) or within_bound(view)
        return noted if noted.over_capacity and bears else None
    return noted if covers(view, noted.loss_bytes, noted.loss_ms) else None


def enough_people(view: View) -> bool:
    """Whether whoever asks makes all the people that it takes."""
    request = view.request
    if request is None or not view.two_people:
        return request is not None
    first = first_person(view)
    return first is not None and not same_person(first.by, request.by)


def same_person(one: str, other: str) -> bool:
    """Whether two names are one person's: neither case nor blanks make another one of him."""
    return "".join(one.split()).casefold() == "".join(other.split()).casefold()


def ended(view: View) -> bool:
    """Whether an approval stands in the record that is good no more."""
    return view.record.approval is not None and not view.approval_left_ms


def facts(view: View) -> dict[str, str]:
    """The words that sentences may use."""
    noted, request = view.record.approval, view.request
    return {
        "approved_by": noted.by if noted else "nobody",
        "approval_left": span(view.approval_left_ms),
        "approval_lasts": span(view.approval_lasts_ms),
        "approval_over": _over(view),
        "approval_figures": figures(view),
        "tier": view.spec.tier,
        "force_waits": _force_waits(view),
        "loss_time": seconds(view.loss_ms),
        "asked_loss": _asked_loss(request.loss_bytes, request.loss_ms) if request else "no loss",
    }


def seconds(duration_ms: int | None) -> str:
    """A time, rounded up: who accepts what is shown accepts enough."""
    if duration_ms is None:
        return "an unknown time"
    return f"{-(-duration_ms // 100) / 10:.1f} s"


def whole_seconds(duration_ms: int | None) -> str:
    """A number of seconds to be typed, rounded up."""
    return f"{-(-(duration_ms or 0) // 100) / 10:g}"


def figures(view: View) -> str:
    """What an approval must name, exactly."""
    lost_bytes, lost_ms = view.loss_bytes, view.loss_ms
    bytes_text = "any loss in bytes" if lost_bytes is None else f"{lost_bytes} bytes"
    return f"{bytes_text} and {'any time' if lost_ms is None else seconds(lost_ms)}"


def _asked_loss(loss_bytes: int, loss_ms: int) -> str:
    time = "" if loss_ms < 0 else f" and {seconds(loss_ms)}"
    return f"{max(0, loss_bytes)} bytes{time}"


def _force_waits(view: View) -> str:
    """Which promise has not run out yet."""
    backup = view.backup_now
    if backup is None or not backup.stopped:
        return f"{view.record.backup} has not said yet that it grants no more. "
    left_ms = max(view.own_promise_left_ms, backup.promise_left_ms)
    if not left_ms:
        return "Every lease that was granted has run out. "
    who = "the controller" if view.own_promise_left_ms == left_ms else view.record.backup
    return f"A lease that {who} granted runs for {seconds(left_ms)} still. "


def _over(view: View) -> str:
    """Why a noted approval is good no more."""
    if view.service.approved_ms < 0:
        return "the controller was started anew"
    return f"its {span(view.approval_lasts_ms)} are over"
