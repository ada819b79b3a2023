"""Whether the rest of a primary's log may be given to its backup."""

from __future__ import annotations

from agents.core.model import Permit, Replica
from agents.core.permission import reigning
from protocol.messages import Role


def refusal(replica: Replica, agent: str, revision: int) -> str:
    """Why not, with what would make it possible; empty when it may be given.

    Only a log that grows no more is whole: this primary must have promised, under the very
    revision that the backup knows, not to write before a higher one.
    """
    assignment = reigning(replica)
    if assignment is None or assignment.partner is None or assignment.partner.agent != agent:
        return f"{agent} is not the backup of {replica.service} as {replica.agent} knows it"
    if assignment.revision != revision:
        return f"{replica.agent} knows revision {assignment.revision}, not {revision}"
    fenced = replica.durable.fenced_revision == revision and replica.guard_known
    if not fenced or replica.permit is not Permit.CLOSED:
        return f"{replica.agent} has not promised to be fenced under revision {revision}"
    if replica.observation.role is Role.PRIMARY:
        return f"the engine of {replica.agent} is still seen as a primary"
    return ""
