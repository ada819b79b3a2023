"""Taking an Order: the highest revision counts, what is lower is ignored for ever."""

from __future__ import annotations

from msgspec.structs import replace

from agents.core.model import NEVER_MS, Durable, Replica
from protocol.messages import Assignment, Goal, Mode, Right
from protocol.windows import silence_ms


def take_order(replica: Replica, order: Assignment, now_ms: int) -> Replica:
    """The replica after this Order; unchanged when the Order is stale or of another service."""
    known = replica.durable.assignment
    if order.service_uid != replica.service_uid or (known and _is_stale(known, order)):
        return replica
    if known and order.revision == known.revision and _command(order) != _command(known):
        problem = f"another Order carries revision {order.revision} too: the store was restored"
        return replace(replica, problem=problem)
    if _refuses(replica, order, now_ms):
        return replace(replica, refused_revision=order.revision)
    if order.start_nonce and order.start_nonce == replica.start_nonce:
        replica = replace(replica, fresh=True)
    order = replace(order, start_nonce="")
    if known and order.revision == known.revision:
        return replace(replica, durable=replace(replica.durable, assignment=order))
    return _take_new(replica, known, order)


def _is_stale(known: Assignment, order: Assignment) -> bool:
    """A restored store begins with an older term; only its revision says that it leads on."""
    if order.revision == known.revision:
        return order.term < known.term
    return order.revision < known.revision


def _command(order: Assignment) -> tuple[object, ...]:
    """What one revision says once and for all; addresses and keys may be mended under it.

    Of the terms only what bounds a right: an agent may have kept this very revision before it
    learned of a number that a later version added.
    """
    terms = order.terms
    return (
        order.epoch,
        order.primary,
        order.goal,
        order.right,
        order.countdown,
        order.may_grant,
        order.sync,
        order.grantors,
        (terms.ttl_ms, terms.renew_ms, terms.fence_budget_ms),
    )


def hears_primary(replica: Replica, now_ms: int) -> bool:
    """As a grantor: whether a commit-proven renewal is fresh."""
    assignment = replica.durable.assignment
    return assignment is not None and now_ms - replica.heard_ms < silence_ms(assignment.terms)


def hears_illness(replica: Replica, now_ms: int) -> bool:
    """As a grantor: whether the primary lately said that it is ill of what travels."""
    assignment = replica.durable.assignment
    if assignment is None or not replica.primary_illness:
        return False
    return now_ms - replica.illness_heard_ms < silence_ms(assignment.terms)


def _refuses(replica: Replica, order: Assignment, now_ms: int) -> bool:
    """The veto: a backup that hears the primary commit does not stop granting."""
    known = replica.durable.assignment
    asked_to_stop = order.goal is Goal.BACKUP and order.countdown and not order.may_grant
    if not asked_to_stop or known is None or not known.may_grant or order.epoch != known.epoch:
        return False
    return hears_primary(replica, now_ms) or hears_illness(replica, now_ms)


def _take_new(replica: Replica, known: Assignment | None, order: Assignment) -> Replica:
    keeps_leases = (
        order.right is Right.LEASED
        and order.goal is not Goal.BACKUP
        and known is not None
        and known.epoch == order.epoch
    )
    same_reign = known is not None and (known.epoch, known.primary) == (order.epoch, order.primary)
    replica = replace(
        replica,
        durable=_durable(replica.durable, order),
        leases=replica.leases if keeps_leases else (),
        questions=replica.questions if keeps_leases else (),
        refused_revision=0,
        handover=False,
        drained_bytes=0,
        drain_begun_ms=-1,
        partner_received_bytes=0,
    )
    if same_reign:
        return replica
    return replace(
        replica,
        heard_ms=NEVER_MS,
        heard_position_bytes=0,
        heard_rate_bytes_s=0,
        primary_illness="",
        illness="",
        crashed_ms=-1,
        failed_probes=0,
        local_failures=0,
    )


def _durable(durable: Durable, order: Assignment) -> Durable:
    stops = order.goal is Goal.BACKUP and not order.may_grant
    ceiling_ms = max(durable.ttl_ceiling_ms, order.terms.ttl_ms if order.may_grant else 0)
    return replace(
        durable,
        assignment=order,
        mode=_mode(order),
        stopped_revision=order.revision if stops else durable.stopped_revision,
        ttl_ceiling_ms=ceiling_ms,
        adopted_standby=durable.adopted_standby and order.goal is not Goal.BACKUP,
    )


def _mode(order: Assignment) -> Mode:
    if order.goal is Goal.BACKUP:
        return Mode.NONE
    return Mode.LEASED if order.right is Right.LEASED else Mode.ALONE
