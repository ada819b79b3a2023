"""I2: one reign an epoch, and epochs and revisions never fall."""

from __future__ import annotations

from controller.core.model import Record
from simulator.watch import Broken, Watch


class OneReign(Watch):
    """Remembers whose each epoch is: in the store, and among the engines."""

    def __init__(self) -> None:
        self._owners: dict[tuple[str, int], str] = {}
        self._reigns: dict[tuple[str, int], str] = {}
        self._last: dict[str, tuple[int, int]] = {}

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        owner = self._owners.setdefault((new.service, new.epoch), new.primary)
        if owner != new.primary:
            text = f"{new.service}: epoch {new.epoch} is {owner}'s and {new.primary}'s"
            raise Broken("I2", text, new.service)
        last = self._last.get(new.service, (0, 0))
        if new.epoch < last[0] or new.revision <= last[1]:
            text = f"{new.service}: epoch and revision fell from {last}"
            raise Broken("I2", text, new.service)
        self._last[new.service] = (new.epoch, new.revision)

    def restored(self, now_ms: int, records: dict[str, Record]) -> None:
        """What was lost may be numbered again; only a reign is never two copies'."""
        self._last = {r.service: (r.epoch, r.revision) for r in records.values()}

    def writes(self, now_ms: int, service: str, agent: str, epoch: int, lost_bytes: int) -> None:
        owner = self._reigns.setdefault((service, epoch), agent)
        if owner != agent:
            text = f"{service}: {owner} and {agent} both reigned in epoch {epoch}"
            raise Broken("I2", text, service)
