"""What a row of the table of phases changes in the record, besides the phase itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from controller.core.conditions import block
from controller.core.events import Kind
from controller.core.gates import approvals, holds, maintenance
from controller.core.model import BY_ITSELF, Approval, HeldFor, Hold, Maintenance, Operation, Wait
from controller.core.moment import loss
from controller.core.moment.view import View
from protocol.messages import Mode

Effect = Callable[[View], dict[str, Any]]

ADOPTION_LEAP = 1000
"""How far an adopted record leaps past every revision that was heard, so that an Order of
the lost future, still under way, cannot carry the same number."""
UNBOUND = {"blocks": False, "wait": None}
"""Commits do not wait for a backup that is lost."""


def nothing_else(_view: View) -> dict[str, Any]:
    return {}


def begin_failover(view: View) -> dict[str, Any]:
    return {"operation": _operation(view, Kind.FAILOVER), "last_word": view.worst_word}


def begin_switchover(view: View) -> dict[str, Any]:
    """Leave to move to a site without room is good for this move, and bears no loss."""
    dares = view.request is not None and view.request.over_capacity
    said = _approval(view) if dares else None
    leave = replace(said, epoch=view.record.epoch, loss_bytes=-1, loss_ms=-1) if said else None
    return {"operation": _operation(view, Kind.SWITCHOVER), "approval": leave}


def begin_disk_handover(view: View) -> dict[str, Any]:
    """A switchover that nobody asked for; its reason are the figures."""
    reason = view.primary.disk_low if view.primary else ""
    return {"operation": replace(_operation(view, Kind.SWITCHOVER), reason=reason)}


def approve(view: View) -> dict[str, Any]:
    """The loss is accepted by all who must: of two figures the smaller one is what both bear."""
    said = _approval(view)
    first = approvals.first_person(view)
    if said is None or first is None:
        return {"approval": said, "held_for": HeldFor.NOTHING}
    both = replace(
        first,
        loss_bytes=min(first.loss_bytes, said.loss_bytes),
        loss_ms=min(first.loss_ms, said.loss_ms),
        second=said.by,
        over_capacity=first.over_capacity and said.over_capacity,
    )
    return {"approval": both, "held_for": HeldFor.NOTHING}


def note_approval(view: View) -> dict[str, Any]:
    """One person accepts the loss; it takes another one."""
    return {"approval": _approval(view)}


def begin_force(view: View) -> dict[str, Any]:
    """Nobody is granted a lease from now on; who asks for it is the first of two people."""
    said = _approval(view)
    return {
        **hold(HeldFor.FORCED)(view),
        # What will be lost is not known yet, for the old primary may write until it is off.
        "approval": replace(said, loss_bytes=-1, loss_ms=-1) if said else None,
        "operation": view.record.operation or _operation(view, Kind.FAILOVER),
        "last_word": None,
    }


def end_approval(_view: View) -> dict[str, Any]:
    return {"approval": None}


def _approval(view: View) -> Approval | None:
    request = view.request
    if request is None:
        return None
    over_capacity = request.over_capacity or view.record.held_for is HeldFor.CAPACITY
    return Approval(
        request.by,
        request.epoch,
        request.loss_bytes,
        request.reason,
        request.loss_ms,
        over_capacity=over_capacity,
    )


def promote(view: View) -> dict[str, Any]:
    record = view.record
    return {
        "epoch": record.epoch + 1,
        "primary": record.backup,
        "backup": record.primary,
        "approval": None,
        "last_word": None,
        "held_for": HeldFor.NOTHING,
        "moved_by": record.operation.by if record.operation else "",
        **UNBOUND,
    }


def rearm(view: View) -> dict[str, Any]:
    return {**release(view), "grantor_set": view.record.grantor_set + 1}


def release(_view: View) -> dict[str, Any]:
    """Leave every operation and hold behind."""
    return {
        "operation": None,
        "approval": None,
        "last_word": None,
        "held_for": HeldFor.NOTHING,
    }


def hold(reason: HeldFor) -> Effect:
    # A maintenance ends with it: what a store says that may be an older copy is announced no more.
    return lambda _view: {"held_for": reason, "approval": None, "maintenance": None}


def hold_for_capacity(_view: View) -> dict[str, Any]:
    """A loss that was accepted stays accepted: it is not what it is held for."""
    return {"held_for": HeldFor.CAPACITY, "maintenance": None}


def hold_restored(view: View) -> dict[str, Any]:
    """What was under way is given up: nobody knows how far it came."""
    return {**hold(HeldFor.RESTORED)(view), "operation": None}


def adopt(view: View) -> dict[str, Any]:
    """Take over what the agents know: the latest reign, and whose it is."""
    record = view.record
    known = {agent: seen.report for agent, seen in view.service.reports.items()}
    latest = max(known, key=lambda agent: (known[agent].epoch, known[agent].mode is not Mode.NONE))
    reign = known[latest]
    # An agent of the version before this one names nobody: then it reigns itself, as it may write.
    named = reign.primary if view.spec.replica(reign.primary) else latest
    primary = named if reign.epoch > record.epoch else record.primary
    copies = sorted(known, key=lambda agent: agent != primary)
    identities = [record.system_identifier, *(known[a].system_identifier for a in copies)]
    return {
        "held_for": HeldFor.ADOPTION,
        "epoch": max(record.epoch, reign.epoch),
        "primary": primary,
        "backup": next((r.agent for r in view.spec.replicas if r.agent != primary), ""),
        "operation": None,
        "moved_by": "",
        "revision": view.service.heard_revision + ADOPTION_LEAP,
        "system_identifier": next(filter(None, identities), ""),
        "blocks": block.is_wanted(view),
        "wait": None,
    }


def learn_identity(view: View) -> dict[str, Any]:
    return {"system_identifier": view.primary.system_identifier if view.primary else ""}


def take_backup(view: View) -> dict[str, Any]:
    """Another agent, or none: whoever granted before grants no more of what counts."""
    return {
        "backup": view.declared_backup,
        "grantor_set": view.record.grantor_set + 1,
        "maintenance": None,
    }


def take_protection(view: View) -> dict[str, Any]:
    return {"protection": view.spec.protection, **UNBOUND}


def take_backup_loss(view: View) -> dict[str, Any]:
    """From now on commits wait for a lost backup, or no more."""
    wanted = block.is_wanted(view)
    return {"blocks": wanted, "wait": view.record.wait if wanted else None}


def bind(view: View) -> dict[str, Any]:
    """The pair is armed: what the configuration says of a lost backup is in force."""
    return {"blocks": block.is_wanted(view), "wait": None}


def begin_wait(view: View) -> dict[str, Any]:
    """Keep how far the backup was: a controller that restarts must not forget it."""
    return {"wait": Wait(loss.proven_bytes(view.service))}


def end_wait(_view: View) -> dict[str, Any]:
    return {"wait": None}


def take_settings(view: View) -> dict[str, Any]:
    ceiling_ms = max(view.record.ttl_ceiling_ms, view.spec.terms.ttl_ms)
    return {"terms": view.spec.terms, "ttl_ceiling_ms": ceiling_ms}


def pause(view: View) -> dict[str, Any]:
    request = view.request
    return {"paused": f"by {request.by}: {request.reason or 'no reason given'}" if request else ""}


def resume(_view: View) -> dict[str, Any]:
    return {"paused": ""}


def begin_maintenance(view: View) -> dict[str, Any]:
    """Announced once more, it counts anew; that the backup went away is not forgotten."""
    request, record = view.request, view.record
    if request is None:
        return {}
    away = record.maintenance is not None and record.maintenance.away
    announced = Maintenance(record.backup, request.by, request.reason, request.for_ms, away=away)
    return {**release(view), "maintenance": announced, **UNBOUND}


def count_maintenance(view: View) -> dict[str, Any]:
    """Write down how much of the time is over."""
    spent_ms = maintenance.spent_ms(view.service, view.now_ms)
    announced = view.record.maintenance
    return {"maintenance": replace(announced, spent_ms=spent_ms) if announced else None}


def note_away(view: View) -> dict[str, Any]:
    counted = count_maintenance(view)["maintenance"]
    return {"maintenance": replace(counted, away=True) if counted else None}


def end_maintenance(_view: View) -> dict[str, Any]:
    return {"maintenance": None}


def place_hold(view: View) -> dict[str, Any]:
    """A further one takes the place of the first, and never ends before it."""
    request = view.request
    if request is None:
        return {}
    scope = request.scope or holds.ONE_SERVICE
    placed = Hold(request.by, holds.asked_reason(view), scope, holds.asked_ms(view))
    return {"hold": placed, "hold_ran_out": False}


def place_hold_on_drain(view: View) -> dict[str, Any]:
    return {**release(view), **place_hold(view)}


def count_hold(view: View) -> dict[str, Any]:
    """Write down how much of the time is over."""
    hold = view.record.hold
    spent_ms = holds.spent_ms(view.service, view.now_ms)
    return {"hold": replace(hold, spent_ms=spent_ms) if hold else None}


def lift_hold(_view: View) -> dict[str, Any]:
    return {"hold": None}


def end_hold(_view: View) -> dict[str, Any]:
    """Nobody said that the data are sound: an alarm that still rings places it again."""
    return {"hold": None, "hold_ran_out": True}


def _operation(view: View, kind: Kind) -> Operation:
    record, request = view.record, view.request
    return Operation(
        id=f"{record.service}-{record.revision + 1}",
        kind=kind.value,
        by=request.by if request else BY_ITSELF,
        reason=request.reason if request else "",
        from_agent=record.primary,
        to_agent=record.backup,
        plan=request.plan if request else "",
    )
