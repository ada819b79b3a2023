"""I5: who is writable holds a live lease, or nobody else could be promoted meanwhile.

Known by an omniscient clock: every grantor's promise, in true time, and the record of the
highest revision. In the phases from which a promotion may come (and for a replica that is not the
record's primary at all) a writable engine needs a promise that has not run out.
"""

from __future__ import annotations

from controller.core.model import HeldFor, Phase, Record
from protocol.messages import Granted
from simulator.watch import Broken, Excused, Watch

LEASED = (Phase.PROTECTED, Phase.DRAINING, Phase.COUNTDOWN)
ROUNDING_MS = 2


class LiveLease(Watch):
    """Keeps the omniscient ledger of promises."""

    def __init__(self, excused: Excused) -> None:
        self._excused = excused
        self._ends: dict[tuple[str, str, int], int] = {}
        self._records: dict[str, Record] = {}
        self._writers: dict[str, dict[str, int]] = {}

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        self._check(now_ms, new.service)
        known = self._records.get(new.service)
        # A restored store knows less than was once decided: the highest revision counts.
        if known is None or new.revision > known.revision:
            self._records[new.service] = new
        self._check(now_ms, new.service)

    def granted(self, now_ms: int, holder: str, granted: Granted, end_ms: int) -> None:
        self._check(now_ms, granted.service)
        key = (granted.service, holder, granted.epoch)
        self._ends[key] = max(end_ms, self._ends.get(key, 0))

    def writes(self, now_ms: int, service: str, agent: str, epoch: int, lost_bytes: int) -> None:
        self._writers.setdefault(service, {})[agent] = epoch
        self._check(now_ms, service)

    def writes_no_more(self, now_ms: int, service: str, agent: str) -> None:
        self._check(now_ms, service)
        del self._writers[service][agent]

    def _check(self, now_ms: int, service: str) -> None:
        record = self._records.get(service)
        if record is None:
            return
        for agent, epoch in list(self._writers.get(service, {}).items()):
            if _right_without_lease(record, agent):
                continue
            end_ms = self._ends.get((service, agent, epoch), 0)
            if end_ms + ROUNDING_MS < now_ms and not self._excused(service, agent):
                raise Broken(
                    "I5",
                    f"{service}: {agent} is writable in {record.phase.value} (revision "
                    f"{record.revision}, primary {record.primary}), and the last promise to it in "
                    f"epoch {epoch} ran out at {end_ms / 1000:.3f} s",
                    service,
                )


def _right_without_lease(record: Record, agent: str) -> bool:
    if record.primary != agent:
        return False
    in_countdown = record.held_for in (HeldFor.LOSS, HeldFor.CAPACITY)
    return record.phase not in LEASED and not (record.phase is Phase.HELD and in_countdown)
