"""The bounded queue of one replica: first come, first served.

What comes again by itself makes room when the queue is full: the oldest first. What tells of
something that happened once (a job ended, an engine exited) is never dropped; there can be
only few of those at a time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from msgspec import Struct

from agents.core.events import (
    EngineExited,
    Event,
    GuardState,
    JobEnded,
    Probed,
    Tick,
)
from agents.core.observation import Observation

ITEMS_AT_MOST = 512

FACTS = (JobEnded, EngineExited, GuardState, Probed)
"""What happened once and is told once."""


class Seen(Struct, frozen=True, tag="seen"):
    """A look at the engine, and how many things had happened to it when the look began."""

    look: int
    observation: Observation


Item = Event | Seen


class Mailbox:
    """Written by everybody on the loop, read by one task."""

    def __init__(self, on_drop: Callable[[str], None], items_at_most: int = ITEMS_AT_MOST) -> None:
        self._items: deque[Item] = deque()
        self._at_most = items_at_most
        self._on_drop = on_drop
        self._filled = asyncio.Event()
        self._ticks = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> None:
        """Take it in. Never waits. A tick that still waits says the same as another."""
        if isinstance(item, Tick):
            if self._ticks:
                return
            self._ticks += 1
        if len(self._items) >= self._at_most:
            self._make_room()
        self._items.append(item)
        self._filled.set()

    async def get(self) -> Item:
        """The oldest item; waits for one."""
        while not self._items:
            self._filled.clear()
            await self._filled.wait()
        item = self._items.popleft()
        if isinstance(item, Tick):
            self._ticks -= 1
        return item

    def _make_room(self) -> None:
        for index, item in enumerate(self._items):
            if not isinstance(item, FACTS):
                del self._items[index]
                self._ticks -= isinstance(item, Tick)
                self._on_drop(str(item.__struct_config__.tag))
                return
