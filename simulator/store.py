"""The controller's store: records by service, and the term. Every change is a compare-and-swap."""

from __future__ import annotations

from collections import deque

from controller.core.model import Record

SNAPSHOTS_MOST = 50


class Store:
    """What outlives the controller. A swap is done wholly or not at all."""

    def __init__(self) -> None:
        self.term = 0
        self.records: dict[str, Record] = {}
        self._before: deque[tuple[int, dict[str, Record]]] = deque(maxlen=SNAPSHOTS_MOST)

    def lead(self) -> int:
        """Begin to lead: the term grows."""
        self.term += 1
        return self.term

    def swap(self, record: Record, expected_revision: int, term: int) -> bool:
        """Replace a record; False when another one stands there, or another leads."""
        known = self.records.get(record.service_uid)
        if term != self.term or known is None or known.revision != expected_revision:
            return False
        self._before.append((self.term, dict(self.records)))
        self.records[record.service_uid] = record
        return True

    def restore(self, changes: int) -> None:
        """Become what it was so many changes ago, or as long ago as is known."""
        for _ in range(min(changes, len(self._before))):
            self.term, self.records = self._before.pop()
