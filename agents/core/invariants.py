"""What must hold after every step of an agent, checked in production too."""

from __future__ import annotations

from agents.core.model import Permit, Replica
from protocol.messages import Goal, Mode


class InvariantBroken(AssertionError):
    """The rules did what the safety rule forbids; the agent stops rather than act on it."""


def check(before: Replica, after: Replica) -> None:
    """Raise InvariantBroken unless `after` may follow `before`."""
    old, new = before.durable, after.durable
    if old.assignment:
        kept = new.assignment is not None and new.assignment.revision >= old.assignment.revision
        _demand(kept, after, "the highest revision must not be forgotten")
    if new.released_revision:
        apart = new.released_revision != new.resumed_revision
        _demand(apart, after, "a drain is either released or resumed")
    if new.mode is not Mode.NONE:
        reigns = new.assignment is not None and new.assignment.goal is not Goal.BACKUP
        _demand(reigns, after, "a backup has no right to write")
    promised = new.assignment is not None and new.fenced_revision >= new.assignment.revision
    if promised:
        _demand(after.permit is Permit.CLOSED, after, "who promised to be fenced is fenced")
        _demand(not after.leases, after, "who promised to be fenced holds no lease")
    if before.veto and after.veto:
        reign_grew = new.reign_epoch > old.reign_epoch
        _demand(not reign_grew, after, "under a veto no new reign begins")
    if not after.fresh:
        _demand(after.permit is Permit.CLOSED, after, "no permit without an Order of this start")


def _demand(holds: bool, replica: Replica, rule: str) -> None:
    if not holds:
        raise InvariantBroken(f"{replica.service} on {replica.agent}: {rule}")
