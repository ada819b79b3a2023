"""The queue of one replica: written by everybody on the loop, read by one task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import Struct

from agents.core.events import Event
from agents.core.observation import Observation
from agents.core.waiting import ITEMS_AT_MOST, Waiting


class Seen(Struct, frozen=True, tag="seen"):
    """A look at the engine, and how many things had happened to it when the look began."""

    look: int
    observation: Observation


Item = Event | Seen


class Mailbox:
    """Bounded: `agents.core.waiting` says what makes room."""

    def __init__(self, on_drop: Callable[[str], None], items_at_most: int = ITEMS_AT_MOST) -> None:
        self._on_drop = on_drop
        self._waiting: Waiting[Item] = Waiting(self._dropped, items_at_most)
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, item: Item) -> None:
        """Take it in. Never waits."""
        self._waiting.put(item)
        self._filled.set()

    async def get(self) -> Item:
        """The oldest item; waits for one."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        return self._waiting.pop()

    def _dropped(self, item: Item) -> None:
        self._on_drop(str(item.__struct_config__.tag))
