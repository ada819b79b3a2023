"""Whether this replica may be writable, and until when. Everything else follows from it.

It may, when all of this holds: its goal is to be primary; an Order of this very start said
so; it has not promised under this revision to be fenced, nor given its lease back; if it was
adopted as a standby, an Order has made it a backup since; and either its mode is ALONE, or a
lease is live with the time to fence still before its end.
"""

from __future__ import annotations

from agents.core.model import Permit, Replica
from agents.core.observation import Disk
from protocol.messages import Assignment, Goal, Mode, Role

LOCAL_FAILURES_TO_YIELD = 2


def reigning(replica: Replica) -> Assignment | None:
    """The assignment, if it makes this replica the primary."""
    assignment = replica.durable.assignment
    return None if assignment is None or assignment.goal is Goal.BACKUP else assignment


def lease_end_ms(replica: Replica) -> int:
    """When the last live lease ends, as the holder counts; 0 without any."""
    last_ms = 0
    for lease in replica.leases:
        if lease.end_ms > last_ms:
            last_ms = lease.end_ms
    return last_ms


def allowed(replica: Replica) -> bool:
    """Whether nothing but the lack of a lease could forbid to write."""
    assignment, durable = reigning(replica), replica.durable
    if assignment is None or not replica.fresh or durable.adopted_standby:
        return False
    if replica.permit is Permit.CLOSED and fence_missing(replica):
        # One that is writing already is not struck: its guard extends no lease, and while it
        # stands alone nobody could be promoted.
        return False
    fenced = durable.fenced_revision >= assignment.revision
    released = durable.released_revision >= assignment.revision
    return not fenced and not released and is_own_copy(replica)


def fence_missing(replica: Replica) -> str:
    """Why the fence is not what it must be here for a primary; empty when it is."""
    assignment, least_ms = replica.durable.assignment, replica.fence_least_ttl_ms
    ttl_ms = assignment.terms.ttl_ms if assignment else least_ms
    if replica.fence_lacks or ttl_ms >= least_ms:
        return replica.fence_lacks
    return (
        f"a required layer needs leases of {least_ms} ms and this service's are {ttl_ms} ms: "
        "take a longer lease_profile, or do not require the layer"
    )


def may_write(replica: Replica, now_ms: int) -> bool:
    """Whether this replica may be writable now."""
    return permit_now(replica, now_ms)[0] is not Permit.CLOSED


def permit_now(replica: Replica, now_ms: int) -> tuple[Permit, int]:
    """What the guard shall allow, and until when; 0 for no end."""
    assignment = reigning(replica)
    if assignment is None or not allowed(replica) or yields(replica):
        return Permit.CLOSED, 0
    if replica.durable.mode is Mode.ALONE:
        return Permit.ALONE, 0
    end_ms = lease_end_ms(replica) - assignment.terms.fence_budget_ms
    return (Permit.LEASED, end_ms) if end_ms > now_ms else (Permit.CLOSED, 0)


def yields(replica: Replica) -> bool:
    """In a COUNTDOWN a primary that does not commit lets go at once, so that nobody waits."""
    assignment = reigning(replica)
    if assignment is None or not assignment.countdown:
        return False
    commits = replica.observation.role is Role.PRIMARY
    return not commits or replica.local_failures >= LOCAL_FAILURES_TO_YIELD


def is_own_copy(replica: Replica) -> bool:
    """Whether the data here are a copy of the assigned service, or there are none yet."""
    assignment, seen = replica.durable.assignment, replica.observation
    if seen.disk is Disk.FOREIGN:
        return False
    if assignment is None or not seen.system_identifier:
        return True
    if not assignment.system_identifier:
        return replica.durable.reign_epoch > 0
    return assignment.system_identifier == seen.system_identifier
