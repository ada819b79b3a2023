"""What each phase orders each replica to be: the record decides, and little that was seen."""

from __future__ import annotations

from typing import NamedTuple

from controller.core.model import (
    HeldFor,
    Phase,
    Protection,
    Record,
    ReplicaSpec,
    ServiceState,
)
from protocol.messages import CONTROLLER, Assignment, Goal, Mode, Partner, Right


class PhaseOrder(NamedTuple):
    """What one phase means for the primary, and whether the backup may grant."""

    goal: Goal
    right: Right
    backup_grants: bool
    countdown: bool = False


ORDERS: dict[Phase, PhaseOrder] = {
    Phase.PROTECTED: PhaseOrder(Goal.PRIMARY, Right.LEASED, backup_grants=True),
    Phase.DRAINING: PhaseOrder(Goal.DRAIN, Right.LEASED, backup_grants=True),
    Phase.COUNTDOWN: PhaseOrder(Goal.PRIMARY, Right.LEASED, backup_grants=False, countdown=True),
    Phase.PROMOTING: PhaseOrder(Goal.PRIMARY, Right.ALONE, backup_grants=True),
    Phase.ROUTING: PhaseOrder(Goal.PRIMARY, Right.ALONE, backup_grants=True),
    Phase.ALONE: PhaseOrder(Goal.PRIMARY, Right.ALONE, backup_grants=True),
    Phase.ARMING: PhaseOrder(Goal.PRIMARY, Right.ARMING, backup_grants=True),
}
HELD_ORDERS: dict[HeldFor, PhaseOrder | None] = {
    HeldFor.NOTHING: None,
    HeldFor.RESTORED: None,
    HeldFor.LOSS: ORDERS[Phase.COUNTDOWN],
    HeldFor.CAPACITY: ORDERS[Phase.COUNTDOWN],
    HeldFor.FORCED: ORDERS[Phase.COUNTDOWN],
    HeldFor.ADOPTION: ORDERS[Phase.PROTECTED],
    HeldFor.ILLNESS: ORDERS[Phase.ALONE],
}


def phase_order(record: Record) -> PhaseOrder | None:
    """What the record's phase orders; None when nothing may be ordered."""
    if record.phase is Phase.HELD:
        return HELD_ORDERS[record.held_for]
    return ORDERS[record.phase]


def controller_grants(record: Record) -> bool:
    """Whether this controller may give a lease in the record's phase."""
    if record.held_for is HeldFor.ADOPTION:
        # The backup grants only once it took this revision; the controller cannot know so much.
        return False
    order = phase_order(record)
    return order is not None and not order.countdown


def assignment_for(service: ServiceState, agent: str, term: int) -> Assignment | None:
    """The assignment of one replica; None when the phase orders nothing."""
    spec, record = service.spec, service.record
    order, replica = phase_order(record), spec.replica(agent)
    if order is None or replica is None:
        return None
    is_primary = agent == record.primary
    partner = spec.replica(record.backup if is_primary else record.primary)
    known_id = record.system_identifier or spec.system_identifier
    return Assignment(
        service=spec.name,
        service_uid=spec.uid,
        term=term,
        revision=record.revision,
        epoch=record.epoch,
        goal=order.goal if is_primary else Goal.BACKUP,
        right=order.right,
        primary=record.primary,
        grantors=tuple(filter(None, (CONTROLLER, record.backup))),
        grantor_set=record.grantor_set,
        terms=record.terms,
        partner=_partner(partner) if partner else None,
        system_identifier=known_id,
        may_grant=order.backup_grants and not is_primary,
        countdown=order.countdown,
        take_log=order.countdown and not is_primary and _log_is_wanted(service),
        sync=is_primary and _sync(record, order),
        create=is_primary and not known_id,
        start_nonce=service.echoes.get(agent, ""),
        moving=order.goal is Goal.DRAIN and not is_primary,
    )


def _log_is_wanted(service: ServiceState) -> bool:
    """The log of a primary that is fenced, and known to be, can be taken whole."""
    wanted = service.record.terms.log_budget_ms > 0
    return wanted and service.fenced_since_ms >= 0


def _partner(replica: ReplicaSpec) -> Partner:
    return Partner(
        agent=replica.agent,
        agent_address=replica.agent_address,
        engine_address=replica.engine_address,
        public_key=replica.public_key,
    )


def _sync(record: Record, order: PhaseOrder) -> bool:
    """A commit waits for the backup wherever the backup is, or is about to be, eligible.

    ALONE, which relaxes it, is in the store before any Order of it leaves. A service that blocks
    is relaxed by no phase: what it is held for does not end that its commits wait.
    """
    waits = record.mode is Mode.LEASED or order.right is Right.ARMING or record.blocks
    return record.protection is Protection.SYNC and waits
