"""One direction of a road between two places: when each packet arrives, if it does.

A lane knows no clock: moments are seconds, given by the caller, of any clock that never goes
back. Order is kept. What leaves no room in the queue of a slow lane is dropped, as in any router.
"""

from __future__ import annotations

import random
from collections import deque

MAX_WAIT_S = 1.0
"""How long a packet may queue before a slow lane; the next one is dropped."""
MAX_BYTES = 64 * 1024 * 1024
"""What may be under way on a lane that has no speed limit."""


class Lane:
    """A delay, a speed, a loss and a cut. `dice` makes the loss the same every time."""

    def __init__(self, delay_s: float, dice: random.Random) -> None:
        self.delay_s = delay_s
        self.extra_s = 0.0
        self.bytes_s = 0
        """0 is no limit."""
        self.loss = 0.0
        """The probability with which a packet is lost."""
        self.is_cut = False
        self._dice = dice
        self._under_way: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._free_s = 0.0
        self._last_s = 0.0

    def cut(self) -> None:
        """From now on nothing arrives, not even what is under way."""
        self.is_cut = True
        self._under_way.clear()
        self._bytes = 0

    def heal(self) -> None:
        self.is_cut, self.extra_s, self.bytes_s, self.loss = False, 0.0, 0, 0.0

    def take(self, packet: bytes, now_s: float) -> bool:
        """A packet sets out; false when it will not arrive."""
        if self.is_cut or (self.loss and self._dice.random() < self.loss):
            return False
        leaves_s = now_s
        if self.bytes_s:
            starts_s = max(now_s, self._free_s)
            if starts_s - now_s > MAX_WAIT_S:
                return False
            leaves_s = self._free_s = starts_s + len(packet) / self.bytes_s
        elif self._bytes > MAX_BYTES:
            return False
        self._last_s = max(self._last_s, leaves_s + self.delay_s + self.extra_s)
        self._under_way.append((self._last_s, packet))
        self._bytes += len(packet)
        return True

    def arrived(self, now_s: float) -> list[bytes]:
        """The packets that have arrived by now, oldest first; each is given once."""
        found = []
        while self._under_way and self._under_way[0][0] <= now_s:
            packet = self._under_way.popleft()[1]
            self._bytes -= len(packet)
            found.append(packet)
        return found

    def next_s(self) -> float | None:
        """When the next packet arrives; None when none is under way."""
        return self._under_way[0][0] if self._under_way else None
