"""What an agent says of one replica, and which of it cannot wait for the next turn."""

from __future__ import annotations

from agents.core.model import Permit, Replica
from agents.core.observation import Observation
from agents.core.orders import hears_illness, hears_primary
from agents.core.permission import fence_missing, lease_end_ms, may_write, reigning
from protocol.messages import Mode, ReplicaReport, Role


def report(replica: Replica, now_ms: int) -> ReplicaReport:
    """Where this replica stands."""
    durable, seen = replica.durable, replica.observation
    assignment = durable.assignment
    return ReplicaReport(
        service=replica.service,
        service_uid=replica.service_uid,
        revision=_revision(replica),
        epoch=assignment.epoch if assignment else 0,
        role=seen.role,
        mode=_mode(replica),
        system_identifier=seen.system_identifier,
        timeline=seen.timeline,
        writable=_writes(replica, now_ms),
        position_bytes=_position(replica, seen),
        replayed_bytes=seen.replayed_bytes,
        rate_bytes_s=replica.rate_bytes_s,
        streaming=seen.streaming,
        lag_ms=seen.lag_ms,
        sync_active=seen.sync_active,
        lease_left_ms=max(0, lease_end_ms(replica) - now_ms),
        fenced=_promised(replica, durable.fenced_revision),
        released=_promised(replica, durable.released_revision),
        resumed=_promised(replica, durable.resumed_revision),
        handover=replica.handover,
        illness=_illness(replica),
        stopped=_stopped(replica),
        promise_left_ms=max(0, replica.promise_end_ms - now_ms),
        refused_revision=replica.refused_revision,
        primary_heard=hears_primary(replica, now_ms),
        primary_illness=replica.primary_illness if hears_illness(replica, now_ms) else "",
        primary_position_bytes=replica.heard_position_bytes,
        primary_position_age_ms=_age(replica.heard_position_bytes, now_ms - replica.heard_ms),
        primary_rate_bytes_s=replica.heard_rate_bytes_s,
        log_taken=_log_taken(replica),
        cannot_promise=not replica.disk_ok,
        doing=replica.doing,
        problem=_problem(replica),
        primary=assignment.primary if assignment else "",
        fences=replica.fences,
        fence_missing=fence_missing(replica),
        veto=replica.veto,
        veto_left_ms=max(0, replica.veto_end_ms - now_ms),
        start_nonce=replica.start_nonce,
    )


def urgent(replica: Replica, now_ms: int) -> tuple[object, ...]:
    """The facts of a report whose change is told at once; the rest waits for the next turn.

    Asked after every step, so it is taken from the replica without a report being made.
    """
    durable, seen = replica.durable, replica.observation
    return (
        _revision(replica),
        seen.role,
        _mode(replica),
        _writes(replica, now_ms),
        seen.system_identifier,
        seen.streaming,
        seen.sync_active,
        _promised(replica, durable.fenced_revision),
        _promised(replica, durable.released_revision),
        _promised(replica, durable.resumed_revision),
        replica.handover,
        bool(_illness(replica)),
        _stopped(replica),
        replica.promise_end_ms <= now_ms,
        replica.refused_revision,
        hears_primary(replica, now_ms),
        _log_taken(replica),
        hears_illness(replica, now_ms),
        not replica.disk_ok,
        replica.veto,
        bool(fence_missing(replica)),
        replica.start_nonce,
    )


def _revision(replica: Replica) -> int:
    assignment = replica.durable.assignment
    return assignment.revision if assignment else 0


def _illness(replica: Replica) -> str:
    return replica.illness if reigning(replica) else ""


def _stopped(replica: Replica) -> bool:
    return 0 < _revision(replica) == replica.durable.stopped_revision


def _log_taken(replica: Replica) -> bool:
    return 0 < _revision(replica) == replica.log_taken_revision


def _mode(replica: Replica) -> Mode:
    """The mode that the guard keeps too: what it does not know yet is not acknowledged."""
    behind = replica.durable.mode is Mode.LEASED and replica.permit is Permit.ALONE
    return Mode.NONE if behind or not replica.guard_known else replica.durable.mode


def _promised(replica: Replica, promised_revision: int) -> bool:
    assignment = replica.durable.assignment
    if assignment is None or not replica.guard_known:
        return False
    return assignment.revision == promised_revision


def _writes(replica: Replica, now_ms: int) -> bool:
    assignment = reigning(replica)
    return (
        assignment is not None
        and replica.observation.role is Role.PRIMARY
        and replica.proven_epoch == assignment.epoch
        and may_write(replica, now_ms)
    )


def _position(replica: Replica, seen: Observation) -> int:
    return replica.drained_bytes or seen.position_bytes


def _age(position_bytes: int, age_ms: int) -> int:
    return max(0, age_ms) if position_bytes else 0


def _problem(replica: Replica) -> str:
    if not replica.disk_ok:
        return "the state directory cannot be written: nothing is granted until it can"
    if replica.observation.stranded:
        return f"not eligible, for it cannot follow: {replica.observation.stranded}"
    return replica.problem or fence_missing(replica)
