"""The figures that sentences about a service may name, as people read them."""

from __future__ import annotations

from collections.abc import Callable

from controller.core.gates import approvals, holds, maintenance, room, turns
from controller.core.moment import disks
from controller.core.moment.view import View, cannot_take_over
from protocol.messages import ReplicaReport


def told(text: str, view: View, **more: object) -> str:
    """The sentence with its figures: those that are given, and those of the view."""
    return text.format_map(_Words(view, more))


class _Words:
    """The figures by name. What takes a look at all services is worked out when it is named."""

    def __init__(self, view: View, more: dict[str, object]) -> None:
        self._view = view
        self._more = more

    def __getitem__(self, name: str) -> object:
        if name in self._more:
            return self._more[name]
        known = facts(self._view)
        if name not in known and name in LATE:
            known[name] = LATE[name](self._view)
        return known[name]


def facts(view: View) -> dict[str, str]:
    """The figures that take no look at the other services, put together once a view."""
    if not view.facts:
        view.facts.update(_facts(view))
    return view.facts


def _facts(view: View) -> dict[str, str]:
    record, primary = view.record, view.primary
    backup = view.backup
    return {
        "service": record.service,
        "primary": record.primary,
        "backup": record.backup or "no backup",
        "declared_backup": view.declared_backup or "no backup",
        "epoch": str(record.epoch),
        "silence": f"{view.silence_ms / 1000:.1f} s",
        "threshold": f"{view.silent_after_ms / 1000:.1f} s",
        "promise_left": f"{view.own_promise_left_ms / 1000:.1f} s",
        "backup_promise_left": f"{(backup.promise_left_ms if backup else 0) / 1000:.1f} s",
        "loss": megabytes(view.loss_bytes),
        "estimated_loss": estimated(view.loss_bytes),
        "accepted_loss": megabytes(view.accepted_loss_bytes),
        "bound": megabytes(view.bound_bytes),
        "lag": megabytes(view.lag_bytes),
        "unheard": f"{view.unheard_ms(record.backup) / 1000:.1f} s",
        "illness": (primary.illness if primary else "") or "none",
        "heard_revision": str(view.service.heard_revision),
        "revision": str(record.revision),
        "paused": record.paused or "not paused",
        "request": _request(view),
        "asked_by": view.request.by if view.request else "nobody",
        "proof": view.request.proof if view.request else "",
        "operation": record.operation.id if record.operation else "none",
        "system_identifier": primary.system_identifier if primary else "",
        "backup_doing": _doing(view),
        "backup_hears": _hears(view),
        "primary_problem": (primary.problem if primary else "it is not heard") or "no problem",
        "backup_loss": view.spec.backup_loss.value,
        "unfit": view.unfit or "nothing",
        "primary_veto": _veto(primary),
        "backup_veto": _veto(backup),
        "out_of_use": out_of_use(view),
        **disks.facts(view.primary, view.backup),
        "cannot_take_over": cannot_take_over(backup) if backup else "it is not heard",
        **approvals.facts(view),
        **maintenance.facts(view),
        **holds.facts(view),
        **turns.facts(view),
    }


def megabytes(count: int | None) -> str:
    """A size for people, rounded up: who accepts what is shown accepts enough."""
    if count is None:
        return "an unknown amount"
    hundredths = -(-count * 100 // 1048576)
    return f"{hundredths / 100:.2f} MiB" if count >= 10240 else f"{count} bytes"


def estimated(count: int | None) -> str:
    """A loss, as what it is."""
    return megabytes(count) if count is None else f"an estimated {megabytes(count)}"


def out_of_use(view: View) -> str:
    """`batam is planned`: the site of the backup, and its stage."""
    backup = view.spec.replica(view.record.backup)
    return f"{backup.site} is {backup.stage.value}" if backup else "there is no backup"


def _request(view: View) -> str:
    request = view.request
    return f"{request.by}: {request.reason or 'no reason given'}" if request else ""


def _over_capacity(view: View) -> str:
    dares = view.request is not None and view.request.over_capacity
    return f", over the capacity of its site ({room.said(view)})" if dares else ""


def _veto(told: ReplicaReport | None) -> str:
    """`siti: a new disk; 1 h 20 min left`."""
    if told is None or not told.veto:
        return "nobody"
    return f"{told.veto}; {maintenance.left(told.veto_left_ms)}"


def _hears(view: View) -> str:
    """What the backup hears of the primary, where that is what stands in the way."""
    backup, primary = view.backup_now, view.record.primary
    if backup is None:
        return f"is not heard under revision {view.record.revision}"
    if backup.primary_heard:
        return f"still hears commits of {primary}: the link is dead, not {primary}"
    return f"hears of {primary} that its commits fail: {backup.primary_illness}"


def _doing(view: View) -> str:
    backup = view.backup
    if backup is None:
        return f"not heard for {view.unheard_ms(view.record.backup) / 1000:.1f} s"
    words = [f"it is {backup.role.value}", "streaming" if backup.streaming else "not streaming"]
    unfit = f"unfit: {view.unfit}" if view.unfit else ""
    return ", ".join([*words, *filter(None, (backup.doing, backup.problem, unfit))])


LATE: dict[str, Callable[[View], str]] = {
    "ahead": lambda view: " and ".join(turns.ahead(view)) or "nobody",
    "room": room.said,
    "over_capacity": _over_capacity,
}
"""Figures for which every service is looked at."""
