"""No site takes more than it can carry unless somebody let it, and no lower tier before a higher.

Worked out from the records alone: at each promotion, what is primary at the site then, the one that
comes, and those of a higher tier that could take over and are on their way or held for room alone.
Whether they could is told by what their backups last reported.
"""

from __future__ import annotations

from config.tiers import TIERS
from controller.core.events import Event
from controller.core.model import HeldFor, Phase, Record, ServiceState, State
from controller.core.moment.view import View, cannot_take_over
from controller.core.site_model import Stage
from protocol.messages import Role
from simulator.setting import Setting
from simulator.watch import Broken, Watch

REPORTS = 2
"""A backup that was heard within so many reports is not lost."""


class RoomKept(Watch):
    """Sites are agents here: each has one."""

    def __init__(self, setting: Setting) -> None:
        self._capacities = dict(setting.capacities)
        self._demands = {service.name: service.demand for service in setting.services}
        self._tiers = {service.name: TIERS.index(service.tier) for service in setting.services}
        self._records: dict[str, Record] = {}
        self._since_ms: dict[str, int] = {}
        self._term = 0
        self._seen: dict[str, ServiceState] = {}
        """What the newest leader saw last, by name."""
        self._seen_ms = 0

    def controller_stepped(self, state: State, event: Event, at_ms: int) -> None:
        if state.term >= self._term:
            self._term, self._seen_ms = state.term, at_ms
            self._seen = {service.spec.name: service for service in state.services.values()}

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
        """Whether it is of a higher tier, was on its way before this moment, and could come."""
        higher = self._tiers[record.service] < self._tiers[new.service]
        before = self._since_ms.get(record.service, 0) < now_ms
        there = record.backup == new.primary and record.hold is None
        return there and higher and before and self._could_come(record)

    def _could_come(self, record: Record) -> bool:
        """Who waits for a person, or whose backup could not take over, keeps nobody out."""
        seen = self._seen.get(record.service)
        if seen is None or not self._backup_able(seen, record):
            return False
        if record.phase in (Phase.COUNTDOWN, Phase.DRAINING):
            return True
        view = View(seen, self._seen_ms)
        lost_bytes = view.loss_bytes
        bearable = lost_bytes is not None and lost_bytes <= view.bound_bytes
        waits = record.held_for is HeldFor.CAPACITY and not record.paused
        return waits and bearable and seen.record.revision == record.revision

    def _backup_able(self, seen: ServiceState, record: Record) -> bool:
        replica, heard = seen.spec.replica(record.backup), seen.reports.get(record.backup)
        if replica is None or replica.stage is not Stage.ACTIVE or heard is None:
            return False
        told, copies = heard.report, ("", record.system_identifier)
        late_ms = self._seen_ms - heard.at_ms
        stands = told.role is Role.STANDBY and told.system_identifier in copies
        in_time = late_ms <= REPORTS * seen.spec.report_interval_ms
        return in_time and stands and not told.veto and not cannot_take_over(told)
