"""The room on the disk of one copy's data: ample, or filling until nothing is left."""

from __future__ import annotations

from simulator.kernel import Kernel

AMPLE_BYTES = 100 * 2**30
LOW_BYTES = 2**30


class Room:
    """Filling, it is low at once and full after a while, until somebody makes room."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._since_ms = self._full_ms = self._until_ms = 0

    def fill(self, for_ms: int, until_ms: int) -> None:
        """From now on, full after `for_ms`, with room again at `until_ms`."""
        self._since_ms = self._kernel.now_ms
        self._full_ms = self._since_ms + max(1, for_ms)
        self._until_ms = until_ms

    def heal(self) -> None:
        """Make room."""
        self._until_ms = 0

    @property
    def filling(self) -> bool:
        return self._kernel.now_ms < self._until_ms

    @property
    def full(self) -> bool:
        """Nothing can be written."""
        return self._full_ms <= self._kernel.now_ms < self._until_ms

    @property
    def free_bytes(self) -> int:
        """What is left."""
        if not self.filling:
            return AMPLE_BYTES
        left_ms = max(0, self._full_ms - self._kernel.now_ms)
        return LOW_BYTES * left_ms // (self._full_ms - self._since_ms)

    @property
    def low(self) -> str:
        """As the shipped `agents/replica/data_disk.py` tells it."""
        return f"/data: {self.free_bytes // 2**20} MiB free of 500 GiB" if self.filling else ""
