"""No site takes more than it can carry unless somebody let it, and no lower tier before a higher.

Worked out from the records alone: at each promotion, what is primary at the site then, the one that
comes, and those of a higher tier that wait to come or are on their way.
"""

from __future__ import annotations

from config.tiers import TIERS
from controller.core.model import HeldFor, Phase, Record
from simulator.setting import Setting
from simulator.watch import Broken, Watch

WAITING = (HeldFor.LOSS, HeldFor.CAPACITY)


class RoomKept(Watch):
    """Sites are agents here: each has one."""

    def __init__(self, setting: Setting) -> None:
        self._capacities = dict(setting.capacities)
        self._demands = {service.name: service.demand for service in setting.services}
        self._tiers = {service.name: TIERS.index(service.tier) for service in setting.services}
        self._records: dict[str, Record] = {}
        self._since_ms: dict[str, int] = {}

    def restored(self, now_ms: int, records: dict[str, Record]) -> None:
        self._records = {record.service: record for record in records.values()}

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        if old is not None and new.phase is Phase.PROMOTING is not old.phase:
            self._judge(now_ms, old, new)
        if old is None or old.phase is not new.phase:
            self._since_ms[new.service] = now_ms
        self._records[new.service] = new

    def _judge(self, now_ms: int, old: Record, new: Record) -> None:
        has, demand = self._capacities.get(new.primary), self._demands[new.service]
        let = old.approval is not None and old.approval.over_capacity and self._enough(old)
        if has is None or not demand or let or old.held_for is HeldFor.FORCED:
            return
        others = [record for name, record in self._records.items() if name != new.service]
        there = sum(self._demands[r.service] for r in others if r.primary == new.primary)
        if there + demand > has:
            raise Broken(
                "capacity",
                f"{new.primary} has {has} and carries {there}: {new.service} demands {demand} and "
                "is promoted there",
                new.service,
            )
        higher = [r for r in others if self._goes_before(r, new, now_ms)]
        wanted = sum(self._demands[r.service] for r in higher)
        if there + wanted + demand > has:
            raise Broken(
                "capacity",
                f"{new.service} takes room at {new.primary} ({has}, {there} taken) that "
                f"{', '.join(r.service for r in higher)} of a higher tier want: {wanted}",
                new.service,
            )

    def _enough(self, old: Record) -> bool:
        """Whether all gave leave who must: two people, where it is strategic and not planned."""
        planned = old.operation is not None and old.operation.kind == "switchover"
        second = old.approval is not None and old.approval.second
        return planned or bool(second) or self._tiers[old.service] > 0

    def _goes_before(self, record: Record, new: Record, now_ms: int) -> bool:
        """Whether it is of a higher tier and was on its way before this very moment."""
        moves = record.phase in (Phase.COUNTDOWN, Phase.DRAINING)
        waits = record.phase is Phase.HELD and record.held_for in WAITING
        higher = self._tiers[record.service] < self._tiers[new.service]
        before = self._since_ms.get(record.service, 0) < now_ms
        return record.backup == new.primary and higher and before and (moves or waits)
