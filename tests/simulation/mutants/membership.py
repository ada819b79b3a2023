"""Rules 8 and 9: how a pair is parted and armed again without two rights at once."""

from __future__ import annotations

from dataclasses import replace as replace_row
from typing import Any

from msgspec.structs import replace

from agents.core import holder, reporting
from agents.core.model import Durable, Replica
from controller.core import actions as act
from controller.core.conditions import pair as conditions
from controller.core.model import Phase, Protection, State
from controller.core.orders import assignments
from protocol.messages import Assignment, Mode, Right
from simulator.parts.controller import Controller
from simulator.parts.host import Host
from simulator.strike import Strike
from tests.simulation.mutants.base import (
    FENCED,
    LATE_LOG,
    WRITERS,
    Mutant,
    Patch,
    allow_any_change,
    allow_any_step,
    always,
    ask_instead,
    change_rows,
)
from tests.simulation.night import Night


def any_grant_arms(patch: Patch) -> None:
    """ARMING ends with anybody's grant, before the backup is known to have the last writes."""

    def hasty(_replica: Replica, assignment: Assignment, _grantor: str, _granted: Any) -> bool:
        return assignment.right is Right.ARMING

    patch.setattr(holder, "_arms", hasty)


def armed_without_acknowledgement(patch: Patch) -> None:
    """The pair counts as armed though the primary may still be writing without a lease."""
    always(patch, conditions.primary_acknowledged_lease)


def pair_is_armed_without_arming(patch: Patch) -> None:
    """A backup that follows makes the pair PROTECTED, without asking the primary."""
    _lead_to_protected(patch, "backup_ready")


def protected_straight_from_maintenance(patch: Patch) -> None:
    """A maintenance that ends makes the pair PROTECTED, without asking the primary."""
    _lead_to_protected(patch, "maintenance_ended", "maintenance_over", "maintenance_ran_out")


def acknowledgement_is_not_persisted(patch: Patch) -> None:
    """A primary that took up its lease forgets it with its life, and stands alone again."""
    read = Host.read

    def forget(host: Host, uid: str) -> Durable:
        durable = read(host, uid)
        order = durable.assignment
        arming = order is not None and order.right is Right.ARMING
        return replace(durable, mode=Mode.ALONE) if arming else durable

    patch.setattr(Host, "read", forget)
    allow_any_step(patch)


def mode_is_told_before_the_guard_keeps_it(patch: Patch) -> None:
    """A new life acknowledges what its disk says, while the guard still allows more."""
    patch.setattr(reporting, "_mode", lambda replica: replica.durable.mode)


def orders_leave_before_the_store_is_swapped(patch: Patch) -> None:
    """The controller tells a new phase, ALONE above all, before the store holds it."""
    perform = Controller._perform

    def hasty(controller: Controller, state: State, actions: list[act.Action]) -> None:
        orders = [a for a in actions if isinstance(a, act.SendOrder)]
        rest: list[act.Action] = [a for a in actions if not isinstance(a, act.SendOrder)]
        if len(rest) < len(actions) and any(isinstance(a, act.Swap) for a in rest):
            for order in orders:
                controller._do(state, order)
            if controller.crashes_after_actions >= 0:
                controller.crashes_after_actions = -1
                controller.crash(controller._kernel.between(50, 4000))
                return
            actions = rest
        perform(controller, state, actions)

    patch.setattr(Controller, "_perform", hasty)


def grantors_stop_when_alone_is_ordered(patch: Patch) -> None:
    """Nobody grants any more once ALONE is ordered, though the primary may not know it yet."""
    alone = assignments.ORDERS[Phase.ALONE]._replace(backup_grants=False)
    patch.setitem(assignments.ORDERS, Phase.ALONE, alone)
    grants = assignments.controller_grants
    patch.setattr(
        "controller.core.orders.leases.controller_grants",
        lambda record: record.phase is not Phase.ALONE and grants(record),
    )


def primary_stands_alone_on_an_old_proof(patch: Patch) -> None:
    """A backup that streams no more is given up on a commit that was proved before any change."""
    old, new = conditions.primary_proves_this_revision, conditions.primary_proves
    ask_instead(patch, old, new.test)


LOST_ORDER = Night(
    Strike(8_000, "crash-host", ("bravo",), 4_000),
    Strike(13_300, "cut-one-way", ("hub", "alpha"), 12_000),
    Strike(14_200, "isolate", ("alpha",), 12_000),
    Strike(14_300, "kill-agent", ("alpha",), 50),
)
"""A primary hears that the pair is armed anew, but not that it is PROTECTED, before it dies."""

LATE_GUARD = Night(
    Strike(8_000, "crash-host", ("bravo",), 4_000),
    Strike(8_500, "kill-agent-after-writes", ("alpha", "3")),
    Strike(15_500, "isolate", ("alpha",), 12_000),
    Strike(15_500, "kill-agent", ("alpha",), 10_000),
)
"""An agent dies when it has written down that it is leased, and its next life ends early, too."""

FULL_DISK = Night(
    Strike(9_000, "fill-disk", ("alpha",), 20_000),
    Strike(9_500, "crash-host", ("bravo",), 20_000),
)
"""A primary cannot write down that it stands alone now, and its backup is dead."""

LATE_PROOFS = Night(
    *(Strike(19_000 + 300 * n, "replay", ("alpha", "hub", "3"), 1) for n in range(8)),
    protection=Protection.SYNC,
)
"""A primary dies for good, and some of what it had proved comes only after the countdown began."""


def _lead_to_protected(patch: Patch, *names: str) -> None:
    change_rows(
        patch,
        lambda row: replace_row(row, target=Phase.PROTECTED) if row.name in names else row,
    )
    allow_any_change(patch)


MUTANTS = (
    Mutant(any_grant_arms, "8", ("I3",), seconds=40, night=LATE_LOG),
    Mutant(armed_without_acknowledgement, "8, 9", (*WRITERS, "I3")),
    Mutant(pair_is_armed_without_arming, "8, 9", (*WRITERS, "I3")),
    Mutant(protected_straight_from_maintenance, "8", (*WRITERS, "I3"), "maintenance"),
    Mutant(acknowledgement_is_not_persisted, "8", WRITERS, seconds=25, night=LOST_ORDER),
    Mutant(mode_is_told_before_the_guard_keeps_it, "8", WRITERS, seconds=25, night=LATE_GUARD),
    Mutant(orders_leave_before_the_store_is_swapped, "0, 8", WRITERS, "crashes"),
    Mutant(grantors_stop_when_alone_is_ordered, "8", FENCED, "one_site", night=FULL_DISK),
    Mutant(
        primary_stands_alone_on_an_old_proof, "8", ("takeover",), "dead_site", night=LATE_PROOFS
    ),
)
