"""Disk: a service is moved away from a disk that fills, to one with room, once; to a full one
nobody is promoted."""

from __future__ import annotations

from controller.core.model import DiskFilling, Phase, Record
from controller.core.moment.disks import PAUSE_AFTER_DRAIN_MS, PROMOTION_NEEDS_BYTES
from controller.core.plan_model import Plan
from protocol.messages import Role
from simulator.parts.service import Service
from simulator.strike import Strike
from simulator.watch import Broken, Watch

BY_ITSELF = "the controller"
KNOWN_MS = 12_000
"""By then the controller knows of a disk whose agent it believes: the oldest report that counts,
as late as any message; and what it decided before is written by then."""
ENOUGH_MS = 5_000
"""A planned move is begun within this where nothing else is wrong."""
SETTLED_MS = 20_000
"""So long nothing else must have been wrong for that."""
RULE = "disk"


class DisksHeeded(Watch):
    """Knows the true room on every disk."""

    def __init__(self, services: list[Service]) -> None:
        self._services = {service.name: service for service in services}
        self._policies = {service.name: service.spec.disk_filling for service in services}
        self._records: dict[str, Record] = {}
        self._since_ms: dict[str, int] = {}
        """Since when a service has its phase."""
        self._given_up: dict[str, tuple[int, int]] = {}
        """When the last move for a disk was given up, and in which term."""
        self._plans: set[str] = set()
        self._wrong_until_ms = 0
        """Until when something else than a disk that fills was the matter."""
        self._low_since: dict[tuple[str, str], int] = {}
        self._full_since: dict[tuple[str, str], int] = {}

    def struck(self, now_ms: int, strike: Strike) -> None:
        if strike.verb != "fill-data":
            self._wrong_until_ms = max(self._wrong_until_ms, now_ms, strike.until_ms)

    def healed(self, now_ms: int) -> None:
        self._wrong_until_ms = now_ms

    def planned(self, now_ms: int, old: Plan | None, new: Plan) -> None:
        self._plans.add(new.id)

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        self._records[new.service] = new
        if old is None or old.phase is not new.phase:
            self._since_ms[new.service] = now_ms
        if old is None:
            return
        if new.phase is Phase.PROMOTING and old.phase is not Phase.PROMOTING:
            self._check_target(now_ms, new)
        if new.phase is Phase.DRAINING and old.phase is Phase.PROTECTED and self._is_by_itself(new):
            self._check_move(now_ms, old)
        if old.phase is Phase.DRAINING and new.phase is Phase.PROTECTED and self._is_by_itself(old):
            self._given_up[new.service] = (now_ms, new.term)

    def look(self, now_ms: int) -> None:
        """Note what is low and full since when; raise Broken where a move was due and is not."""
        for name, service in self._services.items():
            for agent, engine in service.engines.items():
                _note(self._low_since, (name, agent), engine.room.filling, now_ms)
                _note(self._full_since, (name, agent), self._is_full(name, agent), now_ms)
            self._check_due(now_ms, name)

    def _check_target(self, now_ms: int, new: Record) -> None:
        full_ms = self._full_since.get((new.service, new.primary), now_ms)
        still = self._is_full(new.service, new.primary)
        if still and now_ms - full_ms > KNOWN_MS:
            raise Broken(RULE, f"{new.service}: {new.primary} is promoted though its disk is full")

    def _check_move(self, now_ms: int, old: Record) -> None:
        name = old.service
        if self._policies[name] is not DiskFilling.SWITCHOVER or old.paused:
            raise Broken(RULE, f"{name} is moved for a disk, which nobody wants")
        low_ms = self._low_since.get((name, old.backup), now_ms)
        still = self._services[name].engines[old.backup].room.filling
        if still and now_ms - low_ms > KNOWN_MS:
            raise Broken(RULE, f"{name} is moved to {old.backup}, whose own disk is low")
        given_up_ms, term = self._given_up.get(name, (0, -1))
        if term == old.term and now_ms - given_up_ms < PAUSE_AFTER_DRAIN_MS // 2:
            raise Broken(RULE, f"{name} is moved for a disk again, right after that was given up")

    def _is_by_itself(self, record: Record) -> bool:
        """Whether a row of the table began it; a step of a plan names its plan in its reason."""
        operation = record.operation
        if operation is None or operation.by != BY_ITSELF:
            return False
        return operation.reason.partition(":")[0] not in self._plans

    def _is_full(self, name: str, agent: str) -> bool:
        room = self._services[name].engines[agent].room
        return room.filling and room.free_bytes < PROMOTION_NEEDS_BYTES

    def _check_due(self, now_ms: int, name: str) -> None:
        record = self._records.get(name)
        wanted = self._policies[name] is DiskFilling.SWITCHOVER
        if record is None or record.phase is not Phase.PROTECTED or record.paused or not wanted:
            return
        low_ms = self._low_since.get((name, record.primary), now_ms)
        quiet = now_ms - self._wrong_until_ms > SETTLED_MS and name not in self._given_up
        settled = now_ms - self._since_ms[name] > ENOUGH_MS
        backup = self._services[name].engines[record.backup]
        able = backup.role is Role.STANDBY and not backup.room.filling
        if quiet and settled and able and now_ms - low_ms > ENOUGH_MS:
            raise Broken(
                RULE,
                f"{name} stays at {record.primary}, whose disk fills since {low_ms / 1000:.1f} s",
            )


def _note(
    since: dict[tuple[str, str], int], copy: tuple[str, str], holds: bool, now_ms: int
) -> None:
    if holds:
        since.setdefault(copy, now_ms)
    else:
        since.pop(copy, None)
