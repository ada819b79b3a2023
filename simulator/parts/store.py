"""The controller's store: records by service, and the term. Every change is a compare-and-swap."""

from __future__ import annotations

from collections import deque

from controller.core.model import Record

COPIES_MOST = 200


class Store:
    """What outlives the controller. A swap is done wholly or not at all."""

    def __init__(self) -> None:
        self.term = 0
        self.records: dict[str, Record] = {}
        self._copies: deque[tuple[int, int, dict[str, Record]]] = deque(maxlen=COPIES_MOST)
        """What a backup of each moment (true ms) holds: the term and the records."""

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

    def restore(self, as_of_ms: int) -> None:
        """Be what it was at a moment, or at the earliest moment of which there is a copy."""
        older = [copy for copy in self._copies if copy[0] <= as_of_ms and copy[2]]
        copies = older[-1:] or [copy for copy in self._copies if copy[2]][:1]
        for _, term, records in copies:
            self.term, self.records = term, dict(records)

    def _copy(self, now_ms: int) -> None:
        self._copies.append((now_ms, self.term, dict(self.records)))
