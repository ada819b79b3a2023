"""The one entry to the agent's rules: `step(replica, event, now_ms) -> (replica, actions)`.

After every event the same questions are asked in the same order: what may the engine be,
what is promised, is a proof or a lease due, what should be done to the engine, what should
the controller know. So a lost or doubled event changes nothing in the end.
"""

from __future__ import annotations

from msgspec.structs import replace

from agents.core import engine, grantor, holder, orders, veto
from agents.core.actions import (
    Action,
    ClosePermit,
    EndEngine,
    PermitAlone,
    PermitLease,
    Persist,
    SendReport,
)
from agents.core.events import (
    AskCame,
    EngineExited,
    Event,
    FencesTold,
    GrantCame,
    GuardState,
    JobEnded,
    JobTold,
    Observed,
    OrderCame,
    PersistFailed,
    PersistWorks,
    Probed,
    Tick,
    VetoAsked,
    VetoEnded,
    VetoEvent,
    VetoPutBack,
)
from agents.core.invariants import check
from agents.core.model import Durable, Lease, Permit, Replica
from agents.core.permission import fence_missing, permit_now, reigning
from agents.core.quiet import quiet_until_ms, rests
from agents.core.reporting import report, urgent
from protocol.messages import Role
from protocol.windows import grantor_window_ms


def begin(
    agent: str, service: str, service_uid: str, life: str, durable: Durable, now_ms: int
) -> Replica:
    """A replica at the start of an agent's life.

    As a grantor it counts as having granted at this very moment, for it forgot when it did.
    """
    promise_end_ms = now_ms + grantor_window_ms(durable.ttl_ceiling_ms)
    return Replica(
        agent=agent,
        service=service,
        service_uid=service_uid,
        life=life,
        started_ms=now_ms,
        durable=durable,
        promise_end_ms=promise_end_ms if durable.ttl_ceiling_ms else now_ms,
    )


def step(replica: Replica, event: Event, now_ms: int) -> tuple[Replica, list[Action]]:
    """Decide what follows from an event. Raises InvariantBroken."""
    if isinstance(event, Tick) and rests(replica, now_ms):
        return replica, []
    before = replica
    replica = veto.expire(replica, now_ms)
    replica, answers = _hear(replica, event, now_ms)
    heard = replica
    actions: list[Action] = []
    # What cannot be written is not decided either; only the failure itself must be remembered.
    decides = replica.guard_known and not isinstance(event, PersistFailed)
    if decides:
        replica, actions = _drive(replica, now_ms)
    nothing_left = decides and replica is heard and not actions
    actions = answers + actions
    replica, said = _say(replica, now_ms)
    replica = _rest(replica, nothing_left, now_ms)
    check(before, replica)
    if replica.durable != before.durable:
        actions.insert(0, Persist(replica.durable))
    return replica, actions + said


def _hear(replica: Replica, event: Event, now_ms: int) -> tuple[Replica, list[Action]]:
    match event:
        case Tick():
            return replica, []
        case OrderCame():
            return orders.take_order(replica, event.assignment, now_ms), []
        case GrantCame():
            return holder.take_grant(replica, event.grantor, event.granted, now_ms), []
        case AskCame():
            replica, answer = grantor.answer_ask(
                replica, event.question, event.agent, event.ask, now_ms
            )
            return replica, [answer]
        case Observed():
            return engine.observed(replica, event.observation, now_ms), []
        case Probed():
            return holder.take_probe(replica, event.probe, now_ms)
        case EngineExited():
            return _engine_exited(replica, event, now_ms)
        case GuardState() | FencesTold() | VetoAsked() | VetoEnded() | VetoPutBack():
            return _be_told(replica, event), []
        case JobEnded():
            return _job_ended(replica, event, now_ms), []
        case JobTold():
            return _job_told(replica, event), []
        case PersistFailed() | PersistWorks():
            return replace(replica, disk_ok=isinstance(event, PersistWorks)), []


def _job_ended(replica: Replica, event: JobEnded, now_ms: int) -> Replica:
    if replica.job is None or replica.job.id != event.id:
        return replica
    return engine.end_job(replica, event.kind, event.error, event.position_bytes, now_ms)


def _job_told(replica: Replica, event: JobTold) -> Replica:
    told = replica.job is not None and replica.job.id == event.id
    return replace(replica, doing=event.text) if told else replica


def _engine_exited(
    replica: Replica, event: EngineExited, now_ms: int
) -> tuple[Replica, list[Action]]:
    """The news of a fence may be late: what was permitted since is taken away again."""
    replica = engine.engine_exited(replica, event.reason, now_ms)
    return (_close(replica, now_ms), [ClosePermit()]) if event.fenced else (replica, [])


def _be_told(replica: Replica, event: GuardState | FencesTold | VetoEvent) -> Replica:
    if isinstance(event, VetoEvent):
        return veto.take(replica, event)
    return _know_guard(replica, event)


def _know_guard(replica: Replica, event: GuardState | FencesTold) -> Replica:
    """An engine that outlived the agent goes on under what the guard still allows."""
    if isinstance(event, FencesTold):
        return replace(
            replica,
            fences=event.fences,
            fence_lacks=event.missing,
            fence_least_ttl_ms=event.least_ttl_ms,
        )
    replica = replace(
        replica, guard_known=True, permit=event.permit, permit_end_ms=event.permit_end_ms
    )
    if not event.writable:
        return replica
    if event.permit is Permit.CLOSED:
        # It is being ended, and may write until it is: only the fence's own end closes that.
        return replace(replica, permit=Permit.LEASED, permit_end_ms=0)
    assignment = reigning(replica)
    if assignment is None:
        return replica
    replica = replace(replica, fresh=True)
    if event.permit is Permit.LEASED:
        end_ms = event.permit_end_ms + assignment.terms.fence_budget_ms
        replica = replace(replica, leases=(Lease("a former life", end_ms),))
    return replica


def _drive(replica: Replica, now_ms: int) -> tuple[Replica, list[Action]]:
    closed_before = replica.permit is Permit.CLOSED
    replica = holder.forget_expired(replica, now_ms)
    replica = engine.settle_drain(replica, now_ms)
    replica, actions = _set_permit(replica, now_ms)
    if closed_before:
        replica = _promise_fence(replica)
    if engine.wants_handover(replica, now_ms):
        replica, asks = holder.say_handover(replica, now_ms)
        actions += asks
    replica, asks = holder.ask_when_due(replica, now_ms)
    replica, jobs = engine.next_job(replica, now_ms)
    return replica, actions + asks + jobs


def _set_permit(replica: Replica, now_ms: int) -> tuple[Replica, list[Action]]:
    permit, end_ms = permit_now(replica, now_ms)
    if permit is Permit.CLOSED:
        if replica.permit is Permit.CLOSED:
            return replica, _end_usurper(replica)
        return _close(replica, now_ms), [ClosePermit()]
    changed = permit is not replica.permit
    if permit is Permit.ALONE and changed:
        return replace(replica, permit=permit, permit_end_ms=0), [PermitAlone()]
    extends = changed or end_ms > replica.permit_end_ms
    if permit is Permit.LEASED and extends and not fence_missing(replica):
        return replace(replica, permit=permit, permit_end_ms=end_ms), [_lease(replica, end_ms)]
    return replica, []


def _lease(replica: Replica, end_ms: int) -> PermitLease:
    last = max(replica.leases, key=lambda lease: lease.end_ms)
    assignment = reigning(replica)
    ttl_ms = assignment.terms.ttl_ms if assignment else 0
    return PermitLease(end_ms, last.end_ms, last.asked_ms, ttl_ms)


def _end_usurper(replica: Replica) -> list[Action]:
    """A primary that is seen after its permit was taken away never had one."""
    primary = replica.observation.role is Role.PRIMARY
    seen_since = replica.observed_ms > replica.closed_ms
    return [EndEngine()] if primary and seen_since and replica.job is None else []


def _close(replica: Replica, now_ms: int) -> Replica:
    """After a fence only a fresh Order makes this replica writable again."""
    return replace(
        replica,
        permit=Permit.CLOSED,
        permit_end_ms=0,
        closed_ms=now_ms,
        fresh=False,
        start_count=replica.start_count + 1,
        leases=(),
        probing=False,
    )


def _promise_fence(replica: Replica) -> Replica:
    """In a COUNTDOWN, once the guard allows nothing: promise it, durably, for this revision."""
    assignment = reigning(replica)
    if assignment is None or not assignment.countdown or replica.permit is not Permit.CLOSED:
        return replica
    if replica.durable.fenced_revision >= assignment.revision:
        return replica
    durable = replace(replica.durable, fenced_revision=assignment.revision)
    return replace(replica, durable=durable, leases=(), questions=())


def _say(replica: Replica, now_ms: int) -> tuple[Replica, list[Action]]:
    said = urgent(replica, now_ms)
    if said == replica.said:
        return replica, []
    return replace(replica, said=said), [SendReport(report(replica, now_ms))]


def _rest(replica: Replica, nothing_left: bool, now_ms: int) -> Replica:
    """Where nothing was left to do, a Tick has nothing to do either before the next moment."""
    until_ms = quiet_until_ms(replica, now_ms) if nothing_left else 0
    if until_ms == replica.quiet_until_ms:
        return replica
    return replace(replica, quiet_until_ms=until_ms)
