"""The backup's agent as a grantor: the check and the answer of a grant are one step."""

from __future__ import annotations

from msgspec.structs import replace

from agents.core.actions import AnswerAsk
from agents.core.model import NEVER_MS, Replica
from protocol.messages import Ask, Assignment, Goal, Granted
from protocol.windows import grantor_window_ms


def answer_ask(
    replica: Replica, question: str, agent: str, ask: Ask, now_ms: int
) -> tuple[Replica, AnswerAsk]:
    """Hear what a holder says of itself, and grant or refuse the lease that it asks for."""
    assignment = replica.durable.assignment
    if assignment and _is_my_primary(assignment, agent, ask):
        replica = _hear(replica, ask, now_ms)
    refusal = _refusal(replica, agent, ask)
    ttl_ms = assignment.terms.ttl_ms if assignment and not refusal else 0
    granted = Granted(
        service=ask.service,
        service_uid=ask.service_uid,
        epoch=assignment.epoch if assignment else 0,
        revision=assignment.revision if assignment else 0,
        nonce=ask.nonce,
        grantor_set=assignment.grantor_set if assignment else 0,
        ttl_ms=ttl_ms,
        refusal=refusal,
        received_bytes=replica.observation.position_bytes,
    )
    if ttl_ms:
        end_ms = max(replica.promise_end_ms, now_ms + grantor_window_ms(ttl_ms))
        replica = replace(replica, promise_end_ms=end_ms)
    return replica, AnswerAsk(question, granted)


def _is_my_primary(assignment: Assignment, agent: str, ask: Ask) -> bool:
    return (
        assignment.goal is Goal.BACKUP
        and agent == assignment.primary
        and ask.epoch == assignment.epoch
    )


def _hear(replica: Replica, ask: Ask, now_ms: int) -> Replica:
    """Only a proven commit is a sign of life; the primary's own word that it is dead ends it."""
    if ask.proven:
        return replace(
            replica,
            heard_ms=now_ms,
            heard_position_bytes=max(replica.heard_position_bytes, ask.position_bytes),
            heard_rate_bytes_s=ask.rate_bytes_s or replica.heard_rate_bytes_s,
            primary_illness="",
        )
    if ask.illness:
        return replace(
            replica, heard_ms=NEVER_MS, primary_illness=ask.illness, illness_heard_ms=now_ms
        )
    return replace(replica, heard_ms=NEVER_MS) if ask.handover else replica


def _refusal(replica: Replica, agent: str, ask: Ask) -> str:
    assignment = replica.durable.assignment
    if assignment is None:
        return f"{replica.agent} has no assignment yet"
    if assignment.goal is not Goal.BACKUP or agent != assignment.primary:
        return f"{replica.agent} knows {assignment.primary} as the primary"
    if ask.epoch != assignment.epoch:
        return f"{replica.agent} knows epoch {assignment.epoch}"
    if not assignment.may_grant or replica.durable.stopped_revision >= assignment.revision:
        return f"{replica.agent} was told to grant no more"
    if not replica.disk_ok:
        return f"{replica.agent} cannot write its promises to disk"
    if ask.illness or ask.handover:
        return "the primary itself says that it cannot commit"
    return ""
