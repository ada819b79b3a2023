"""What is told of a change, how often a message may come, and what a hold is for: I8 to I10."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from agents.core import orders
from agents.core.model import Replica
from controller.core import step as controller_step
from controller.core.model import Phase, Record, Transition
from controller.core.moment.view import View
from controller.core.rows import change
from controller.core.rows.row import Row
from protocol.messages import Assignment, Mode, ReplicaReport
from tests.simulation.mutants.base import Mutant, Patch


def outcome_is_left_out(patch: Patch) -> None:
    """An operation ends, and the history says not how."""
    _retell(patch, outcome="")


def history_tells_another_epoch(patch: Patch) -> None:
    """A promotion is told under the epoch that it ends, not the one that it begins."""
    tell = change._transition

    def late(view: View, row: Row, new: Record) -> Transition:
        return replace(tell(view, row, new), epoch=view.record.epoch)

    patch.setattr(change, "_transition", late)


def _retell(patch: Patch, **changes: Any) -> None:
    tell = change._transition

    def mistold(view: View, row: Row, new: Record) -> Transition:
        return replace(tell(view, row, new), **changes)

    patch.setattr(change, "_transition", mistold)


def order_counts_each_time(patch: Patch) -> None:
    """What an Order leaves on disk depends on how often it came."""
    take = orders.take_order

    def adding(replica: Replica, order: Assignment, now_ms: int) -> Replica:
        after = take(replica, order, now_ms)
        ceiling_ms = after.durable.ttl_ceiling_ms + 1
        return replace(after, durable=replace(after.durable, ttl_ceiling_ms=ceiling_ms))

    patch.setattr(orders, "take_order", adding)


def whole_store_is_called_restored(patch: Patch) -> None:
    """A primary that just started anew is taken for proof that the store is an older copy."""
    known = controller_step._known_revision

    def mistaken(record: Record, agent: str, report: ReplicaReport) -> int:
        anew = agent == record.primary and report.mode is Mode.NONE
        if anew and record.phase is Phase.PROTECTED and report.revision == record.revision:
            return record.revision + 1
        return known(record, agent, report)

    patch.setattr(controller_step, "_known_revision", mistaken)


MUTANTS = (
    Mutant(outcome_is_left_out, "operators", ("I8",), "operators"),
    Mutant(history_tells_another_epoch, "operators", ("I10",), "operators"),
    Mutant(order_counts_each_time, "0", ("I9",)),
    Mutant(whole_store_is_called_restored, "0", ("I8",), "crashes"),
)
