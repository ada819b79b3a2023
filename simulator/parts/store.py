"""The controller's store: records by service, and the term. Every change is a compare-and-swap."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from controller.core.model import Record
from controller.core.plan_model import Plan
from controller.core.site_model import Caution

COPIES_MOST = 200


class Copy(NamedTuple):
    """What a backup of a moment (true ms) holds."""

    at_ms: int
    term: int
    records: dict[str, Record]
    plans: dict[str, Plan]


class Store:
    """What outlives the controller. A swap is done wholly or not at all."""

    def __init__(self) -> None:
        self.term = 0
        self.records: dict[str, Record] = {}
        self.plans: dict[str, Plan] = {}
        """By id, in the order in which they were made."""
        self.cautions: tuple[Caution, ...] = ()
        """As they were last kept; no copy of the store is asked for them."""
        self._plans_ms: dict[str, tuple[int, int]] = {}
        """By id: when it was made, and when it was last changed (true ms)."""
        self._copies: deque[Copy] = deque(maxlen=COPIES_MOST)

    def lead(self, now_ms: int) -> int:
        """Begin to lead: the term grows."""
        self.term += 1
        self._copy(now_ms)
        return self.term

    def found(self, now_ms: int, record: Record) -> None:
        """The first record of a service."""
        self.records[record.service_uid] = record
        self._copy(now_ms)

    def swap(self, now_ms: int, record: Record, expected_revision: int, term: int) -> bool:
        """Replace a record; False when another one stands there, or another leads."""
        known = self.records.get(record.service_uid)
        if term != self.term or known is None or known.revision != expected_revision:
            return False
        self.records[record.service_uid] = record
        self._copy(now_ms)
        return True

    def save_plan(self, now_ms: int, plan: Plan, expected_revision: int, term: int) -> bool:
        """Keep a plan; False when another revision stands there (0: none), or another leads."""
        known = self.plans.get(plan.id)
        if term != self.term or (known.revision if known else 0) != expected_revision:
            return False
        self.plans[plan.id] = plan
        self._plans_ms[plan.id] = (self._plans_ms.get(plan.id, (now_ms, 0))[0], now_ms)
        self._copy(now_ms)
        return True

    def dated_plans(self) -> list[tuple[Plan, tuple[int, int]]]:
        """Every plan, with when it was made and when it was last changed."""
        return [(plan, self._plans_ms[uid]) for uid, plan in self.plans.items()]

    def restore(self, as_of_ms: int) -> None:
        """Be what it was at a moment, or at the earliest moment of which there is a copy."""
        older = [copy for copy in self._copies if copy.at_ms <= as_of_ms and copy.records]
        copies = older[-1:] or [copy for copy in self._copies if copy.records][:1]
        for copy in copies:
            self.term, self.records = copy.term, dict(copy.records)
            self.plans = dict(copy.plans)

    def _copy(self, now_ms: int) -> None:
        self._copies.append(Copy(now_ms, self.term, dict(self.records), dict(self.plans)))
