"""The local veto: an operator of this host forbids any change of its role, for a time.

It is taken only while no such change is ordered or under way, so that what was swapped in the
centre goes forward; once taken, no job that changes the role is begun before it ends. What the
role already is may be kept up: an engine restarts in its own reign, a standby follows.
"""

from __future__ import annotations

from msgspec.structs import replace

from agents.core.events import VetoEnded, VetoEvent, VetoPutBack
from agents.core.model import Durable, JobKind, Replica
from protocol.messages import Assignment, Goal

CHANGES = (JobKind.CREATE, JobKind.SEED, JobKind.REJOIN, JobKind.PROMOTE, JobKind.DRAIN)
"""The jobs that make a copy another thing than it was."""


def take(replica: Replica, event: VetoEvent) -> Replica:
    """The replica with the veto, with the reason why not, with the former one, or without any."""
    if isinstance(event, VetoEnded):
        return replace(replica, veto="", veto_end_ms=0)
    if isinstance(event, VetoPutBack):
        return replace(replica, veto=event.text, veto_end_ms=event.end_ms)
    refusal = why_not(replica.durable, replica.job.kind if replica.job else None)
    replica = replace(replica, veto_asked=event.id, veto_refusal=refusal)
    if refusal:
        return replica
    return replace(replica, veto=event.text, veto_end_ms=event.end_ms)


def expire(replica: Replica, now_ms: int) -> Replica:
    """Without a veto whose time is over."""
    over = bool(replica.veto) and now_ms >= replica.veto_end_ms
    return replace(replica, veto="", veto_end_ms=0) if over else replica


def why_not(durable: Durable, job: JobKind | None) -> str:
    """Why a veto cannot be taken now: a change of the role is ordered or under way."""
    assignment = durable.assignment
    if job in CHANGES:
        return f"it is under way already ({job.value}): wait until it has ended"
    if assignment is None:
        return ""
    if assignment.goal is Goal.BACKUP:
        return _why_not_backup(assignment)
    if assignment.goal is Goal.DRAIN and durable.resumed_revision != assignment.revision:
        return "a move from this host is under way: wait until it has ended"
    if durable.reign_epoch < assignment.epoch:
        return "this host is ordered to be the primary, and there is no way back: wait for it"
    return ""


def _why_not_backup(assignment: Assignment) -> str:
    """What the centre swaps may hang on what this backup says under the Order that it has."""
    hold = f"`saling hold {assignment.service}` in the centre"
    if assignment.countdown:
        return f"a failover to this host is being counted down: {hold} stops it"
    if assignment.moving:
        return f"a move to this host is under way: {hold} calls it off, else wait until it ended"
    return ""


def forbids(replica: Replica, kind: JobKind, assignment: Assignment) -> bool:
    """Whether the veto stands in the way of this job."""
    if not replica.veto or kind not in CHANGES:
        return False
    # A primary that comes back in its own reign is promoted, and was one before.
    return kind is not JobKind.PROMOTE or replica.durable.reign_epoch != assignment.epoch
