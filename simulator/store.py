"""The controller's store: records by service, and the term. Every change is a compare-and-swap."""

from __future__ import annotations

from controller.core.model import Record


class Store:
    """What outlives the controller. A swap is done wholly or not at all."""

    def __init__(self) -> None:
        self.term = 0
        self.records: dict[str, Record] = {}

    def lead(self) -> int:
        """Begin to lead: the term grows."""
        self.term += 1
        return self.term

    def swap(self, record: Record, expected_revision: int, term: int) -> bool:
        """Replace a record; False when another one stands there, or another leads."""
        known = self.records.get(record.service_uid)
        if term != self.term or known is None or known.revision != expected_revision:
            return False
        self.records[record.service_uid] = record
        return True
