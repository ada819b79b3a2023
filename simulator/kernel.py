"""True time, the order of events, and the one source of chance of a simulated world."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

from simulator.story import Story

Do = Callable[[], None]
FIRST = 1 << 40


class Kernel:
    """Runs what is due, in the order of its time and then of its asking. Milliseconds."""

    def __init__(self, seed: int, keep_story: bool) -> None:
        self.now_ms = 0
        self.random = Random(seed)
        self.story = Story(keep_story)
        self._queue: list[tuple[int, int, Do]] = []
        self._count = 0

    def at(self, when_ms: int, do: Do) -> None:
        """Do something at a moment; at once, after what is due already, when it is past."""
        self._count += 1
        when_ms = when_ms if when_ms > self.now_ms else self.now_ms
        heapq.heappush(self._queue, (when_ms, self._count, do))

    def first_at(self, when_ms: int, do: Do) -> None:
        """Do something at a moment, before all else that is due then."""
        self._count += 1
        heapq.heappush(self._queue, (max(when_ms, self.now_ms), self._count - FIRST, do))

    def after(self, delay_ms: int, do: Do) -> None:
        """Do something after a delay, or now; apart from `at`, for most of it comes here."""
        self._count += 1
        when_ms = self.now_ms + delay_ms if delay_ms > 0 else self.now_ms
        heapq.heappush(self._queue, (when_ms, self._count, do))

    def run_until(self, end_ms: int) -> None:
        """Do all that is due until this moment."""
        queue, pop = self._queue, heapq.heappop
        while queue and queue[0][0] <= end_ms:
            self.now_ms, _, do = pop(queue)
            do()
        self.now_ms = end_ms

    def tell(self, who: str, what: str) -> None:
        """Something worth telling happened."""
        self.story.tell(self.now_ms, who, what)

    def chance(self, probability: float) -> bool:
        """True with this probability; asks the dice only when they matter."""
        return probability > 0 and self.random.random() < probability

    def between(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int(self.random.random() * (high - low + 1))
