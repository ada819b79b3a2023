"""What taking a row of the table of phases makes of a service, and the line of history for it."""

from __future__ import annotations

from msgspec.structs import replace

from controller.core.actions import Swap
from controller.core.invariants import check_change
from controller.core.model import Operation, Phase, Record, ServiceState, Transition
from controller.core.moment.view import View
from controller.core.rows.row import Row


def take_row(view: View, row: Row, term: int) -> tuple[ServiceState, Swap]:
    """The service as a row leaves it, and the change of its record. Raises InvariantBroken."""
    old = view.record
    new = row.apply(view, term)
    check_change(old, new)
    return _enter(view, new), Swap(new, old.revision, _transition(view, row, new))


def _enter(view: View, new: Record) -> ServiceState:
    """What is known, as far as it still counts under the new record."""
    service, old = view.service, view.record
    if new.phase is not old.phase:
        service = replace(service, entered_ms=view.now_ms)
    if old.phase is Phase.DRAINING and new.phase is Phase.PROTECTED:
        service = replace(service, drain_given_up_ms=view.now_ms)
    if new.approval != old.approval:
        service = replace(service, approved_ms=view.now_ms if new.approval else -1)
    if new.maintenance != old.maintenance:
        service = replace(service, maintenance_ms=view.now_ms)
    if new.wait != old.wait:
        service = replace(service, waits_since_ms=view.now_ms)
    if new.hold != old.hold:
        service = replace(service, hold_ms=view.now_ms)
    if new.epoch != old.epoch or new.primary != old.primary:
        service = replace(
            service,
            reign_proven_ms=service.proven_ms if service.proven_once else -1,
            proven_ms=view.now_ms,
            proven_once=False,
            proven_position_bytes=0,
            proven_rate_bytes_s=0,
            backup_promise_end_ms=0,
            ailing_since_ms=-1,
            following_since_ms=-1,
            backup_proven_bytes=0,
            marks=(),
            caught_up_ms=-1,
            heard_positions=(),
        )
    elif new.backup != old.backup:
        service = replace(
            service,
            ailing_since_ms=-1,
            following_since_ms=-1,
            backup_proven_bytes=0,
            marks=(),
            caught_up_ms=-1,
        )
    return replace(service, record=new, fenced_since_ms=-1, ordered_ms=view.now_ms)


def _transition(view: View, row: Row, new: Record) -> Transition:
    old = view.record
    ends_reign = new.phase is Phase.PROMOTING
    serves = old.phase is Phase.PROMOTING and new.phase is Phase.ROUTING
    known_outage = serves and view.service.reign_proven_ms >= 0
    loss_bytes = 0 if old.phase is Phase.DRAINING else view.loss_bytes
    operation: Operation | None = new.operation or old.operation
    return Transition(
        service=new.service,
        service_uid=new.service_uid,
        revision=new.revision,
        term=new.term,
        epoch=new.epoch,
        from_phase=old.phase.value,
        to_phase=new.phase.value,
        because=row.sentence(view),
        primary=new.primary,
        backup=new.backup,
        operation=operation,
        outcome=row.outcome if operation else "",
        outage_ms=view.now_ms - view.service.reign_proven_ms if known_outage else -1,
        loss_bytes=loss_bytes if ends_reign and loss_bytes is not None else -1,
        by=view.request.by if view.request else "",
        reason=view.request.reason if view.request else "",
    )
