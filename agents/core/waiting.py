"""What waits for one replica's rules: first come, first served, and bounded.

What comes again by itself makes room when it is full: the oldest first. What tells of something
that happened once (a job ended, an engine exited) is never dropped; there can be only few of
those at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from agents.core.events import EngineExited, GuardState, JobEnded, Probed, Tick

ITEMS_AT_MOST = 512

FACTS = (JobEnded, EngineExited, GuardState, Probed)
"""What happened once and is told once."""

T = TypeVar("T")


class Waiting(Generic[T]):
    """Events, and whatever else the shell puts among them."""

    def __init__(self, on_drop: Callable[[T], None], items_at_most: int = ITEMS_AT_MOST) -> None:
        self._items: deque[T] = deque()
        self._at_most = items_at_most
        self._on_drop = on_drop
        self._ticks = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> None:
        """Take it in. A tick that still waits says the same as another."""
        if isinstance(item, Tick):
            if self._ticks:
                return
            self._ticks += 1
        if len(self._items) >= self._at_most:
            self._make_room()
        self._items.append(item)

    def pop(self) -> T:
        """The oldest, which must be there."""
        item = self._items.popleft()
        if isinstance(item, Tick):
            self._ticks -= 1
        return item

    def _make_room(self) -> None:
        for index, item in enumerate(self._items):
            if not isinstance(item, FACTS):
                del self._items[index]
                self._ticks -= isinstance(item, Tick)
                self._on_drop(item)
                return
