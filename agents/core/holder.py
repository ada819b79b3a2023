"""The primary's agent as a holder: it proves a commit, asks every grantor, and counts its leases.

A lease counts from the moment of the question, and shorter than it was granted. A renewal
is asked for only after a probe row was committed for that very question.
"""

from __future__ import annotations

from msgspec.structs import replace

from agents.core.actions import Action, BeginProbe, SendAsk
from agents.core.model import Lease, Question, Rate, Replica
from agents.core.observation import Probe, ProbeKind
from agents.core.permission import allowed, fence_missing, lease_end_ms, may_write, reigning
from protocol.messages import Ask, Assignment, Goal, Granted, Mode, Partner, Right, Role
from protocol.windows import holder_window_ms, silence_ms

PROBES_TO_BE_ILL = 2
"""A probe may take half of the silence: two fit into a lease, so that an illness is told first."""
MAX_QUESTIONS = 16
DRAIN_ASK_MS = 40
RATES_KEPT = 16
LEAPS_AT_MOST = 3
SYNC_SETTLES_MS = 250
"""How long an engine may take until each of its sessions waits for the backup."""


def take_grant(replica: Replica, grantor: str, granted: Granted, now_ms: int) -> Replica:
    """Count a lease, if it answers a question of this life under the present reign."""
    question = next((q for q in replica.questions if q.nonce == granted.nonce), None)
    if question is None or question.grantor != grantor:
        return replica
    left = tuple(q for q in replica.questions if q is not question)
    replica = replace(replica, questions=left)
    assignment = reigning(replica)
    if assignment is None or granted.epoch != assignment.epoch:
        return replica
    if granted.received_bytes:
        replica = replace(replica, partner_received_bytes=granted.received_bytes)
    if not granted.ttl_ms or grantor not in assignment.grantors or not allowed(replica):
        return replica
    lease = Lease(grantor, question.asked_ms + holder_window_ms(granted.ttl_ms), question.asked_ms)
    if lease.end_ms - assignment.terms.fence_budget_ms <= now_ms:
        return replica
    if replica.durable.mode is Mode.LEASED:
        return _count(replica, lease)
    lasts = lease.end_ms - assignment.terms.fence_budget_ms - now_ms >= granted.ttl_ms // 2
    if lasts and _arms(replica, assignment, grantor, granted):
        durable = replace(replica.durable, mode=Mode.LEASED)
        return replace(replica, durable=durable, leases=(lease,), questions=())
    return replica


def take_probe(replica: Replica, probe: Probe, now_ms: int) -> tuple[Replica, list[Action]]:
    """A commit worked: ask for leases. It failed: remember why, and say so if it travels."""
    replica = replace(replica, probing=False)
    assignment = reigning(replica)
    if assignment is None or not may_write(replica, now_ms):
        return replica, []
    if probe.kind is ProbeKind.COMMITTED:
        return _ask_all(_proved(replica, assignment, probe, now_ms), assignment, now_ms, True)
    failed = replica.failed_probes + 1
    local = replica.local_failures + (probe.kind is ProbeKind.LOCAL)
    ill = probe.kind is ProbeKind.SHARED and failed >= PROBES_TO_BE_ILL
    replica = replace(
        replica,
        failed_probes=failed,
        local_failures=local,
        illness=probe.reason if ill else replica.illness,
        problem=f"a probe row could not be committed: {probe.reason}",
    )
    return _ask_all(replica, assignment, now_ms, False) if ill else (replica, [])


def ask_when_due(replica: Replica, now_ms: int) -> tuple[Replica, list[Action]]:
    """Begin the next probe, or ask without one where no engine writes yet."""
    assignment = reigning(replica)
    if assignment is None or not replica.fresh:
        return replica, []
    since_ms = now_ms - replica.probe_begun_ms
    if since_ms < assignment.terms.renew_ms and assignment.goal is not Goal.DRAIN:
        # Only a drain asks more often than leases are renewed.
        return replica, []
    if replica.observation.role is Role.PRIMARY and may_write(replica, now_ms):
        if replica.probing or since_ms < assignment.terms.renew_ms:
            return replica, []
        probe = BeginProbe(silence_ms(assignment.terms) // 2)
        return replace(replica, probing=True, probe_begun_ms=now_ms), [probe]
    if _waits_for_partner(replica, assignment) and since_ms >= DRAIN_ASK_MS:
        replica = replace(replica, probe_begun_ms=now_ms)
        return _ask(replica, assignment, assignment.grantors[-1:], now_ms, handover=True)
    if _wants_first_lease(replica, assignment, now_ms) and since_ms >= assignment.terms.renew_ms:
        replica = replace(replica, probe_begun_ms=now_ms)
        return _ask_all(replica, assignment, now_ms, False)
    return replica, []


def say_handover(replica: Replica, now_ms: int) -> tuple[Replica, list[Action]]:
    """Tell every grantor that this primary's engine is dead: no veto shall protect it."""
    assignment = reigning(replica)
    if assignment is None:
        return replica, []
    replica = replace(replica, handover=True)
    return _ask(replica, assignment, assignment.grantors, now_ms, handover=True)


def forget_expired(replica: Replica, now_ms: int) -> Replica:
    """Drop leases that ended, so that they are never counted again."""
    live = [lease for lease in replica.leases if lease.end_ms > now_ms]
    return replica if len(live) == len(replica.leases) else replace(replica, leases=tuple(live))


def _count(replica: Replica, lease: Lease) -> Replica:
    known = next((x for x in replica.leases if x.grantor == lease.grantor), None)
    if known and known.end_ms >= lease.end_ms:
        return replica
    others = tuple(x for x in replica.leases if x.grantor != lease.grantor)
    return replace(replica, leases=(*others, lease))


def _arms(replica: Replica, assignment: Assignment, grantor: str, granted: Granted) -> bool:
    """Only a grant that the new backup gave under this very revision makes the mode leased.

    The caller sees to it that much of the lease is left: the primary drops every other right
    for it, and must get the next one before it ends.
    """
    partner = assignment.partner
    return (
        assignment.right is Right.ARMING
        and partner is not None
        and grantor == partner.agent
        and granted.revision == assignment.revision
        # Alone it needs no fence; under a lease it would, and its guard would refuse it.
        and not fence_missing(replica)
        and (not assignment.sync or _synced(replica, partner.agent, granted.received_bytes))
    )


def _synced(replica: Replica, partner: str, received_bytes: int) -> bool:
    """Whether the backup has all that was acknowledged before commits began to wait for it.

    That the engine calls it a sync standby is not enough: it does so for a dead one, too.
    """
    begun = replica.sync_with == partner and replica.sync_from_bytes > 0
    return begun and replica.observation.sync_active and received_bytes >= replica.sync_from_bytes


def _proved(replica: Replica, assignment: Assignment, probe: Probe, now_ms: int) -> Replica:
    settled = replica.sync_with and now_ms - replica.sync_set_ms >= SYNC_SETTLES_MS
    sync_from_bytes = probe.position_bytes if settled else 0
    return replace(
        _measure_rate(replica, probe, now_ms),
        sync_from_bytes=replica.sync_from_bytes or sync_from_bytes,
        proven_ms=now_ms,
        proven_epoch=assignment.epoch,
        proven_position_bytes=probe.position_bytes,
        proven_log_file=probe.log_file,
        failed_probes=0,
        local_failures=0,
        illness="",
        handover=False,
        crashed_ms=-1,
        problem="" if replica.failed_probes else replica.problem,
    )


def _measure_rate(replica: Replica, probe: Probe, now_ms: int) -> Replica:
    """The highest of the last rates, or where the log may have leapt, a high one of all.

    A log also leaps where nothing was written: a copy that begins and one that ends fill up a
    file each. Such a rate counts only when more are as high than leaps can explain.
    """
    span_ms = now_ms - replica.proven_ms
    grown = probe.position_bytes - replica.proven_position_bytes
    if not replica.proven_position_bytes or grown < 0 or span_ms <= 0:
        return replica
    measured = Rate(grown * 1000 // span_ms, probe.log_file == replica.proven_log_file)
    rates = (*replica.rates, measured)[-RATES_KEPT:]
    ranked = sorted((rate.bytes_s for rate in rates), reverse=True)
    high = ranked[min(LEAPS_AT_MOST, len(ranked) - 1)]
    highest = max((rate.bytes_s for rate in rates if rate.exact), default=0)
    return replace(replica, rates=rates, rate_bytes_s=max(high, highest))


def _waits_for_partner(replica: Replica, assignment: Assignment) -> bool:
    resumed = replica.durable.resumed_revision == assignment.revision
    drained = assignment.goal is Goal.DRAIN and replica.drained_bytes > 0
    return drained and not resumed and allowed(replica)


def _wants_first_lease(replica: Replica, assignment: Assignment, now_ms: int) -> bool:
    leased = replica.durable.mode is Mode.LEASED and not may_write(replica, now_ms)
    draining = assignment.goal is Goal.DRAIN
    resumed = replica.durable.resumed_revision == assignment.revision
    in_order = not assignment.countdown and not replica.handover and (resumed or not draining)
    return leased and in_order and allowed(replica) and lease_end_ms(replica) <= now_ms


def _ask_all(
    replica: Replica, assignment: Assignment, now_ms: int, proven: bool
) -> tuple[Replica, list[Action]]:
    return _ask(replica, assignment, assignment.grantors, now_ms, proven=proven)


def _ask(
    replica: Replica,
    assignment: Assignment,
    grantors: tuple[str, ...],
    now_ms: int,
    *,
    proven: bool = False,
    handover: bool = False,
) -> tuple[Replica, list[Action]]:
    sends: list[Action] = []
    questions = list(replica.questions)
    count = replica.nonce_count
    for grantor in grantors:
        count += 1
        nonce = f"{replica.life}.{count}"
        questions.append(Question(nonce, grantor, now_ms))
        ask = Ask(
            service=replica.service,
            service_uid=replica.service_uid,
            epoch=assignment.epoch,
            revision=assignment.revision,
            nonce=nonce,
            proven=proven,
            position_bytes=replica.proven_position_bytes,
            rate_bytes_s=replica.rate_bytes_s,
            mode=replica.durable.mode,
            illness="" if proven else replica.illness,
            handover=handover,
        )
        sends.append(SendAsk(grantor, ask, _way_to(assignment, grantor)))
    kept = tuple(questions[-MAX_QUESTIONS:])
    return replace(replica, questions=kept, nonce_count=count), sends


def _way_to(assignment: Assignment, grantor: str) -> Partner | None:
    partner = assignment.partner
    return partner if partner and partner.agent == grantor else None
