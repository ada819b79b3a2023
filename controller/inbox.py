"""The one queue of what the rules are told: first come, first served, and bounded.

When it is full, the oldest tick or report makes room, then the oldest renewal: all three
come again by themselves. An operator's request is never dropped; there may be only so
many at once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from dataclasses import dataclass

from controller.core.actions import Answer
from controller.core.events import Ask, Event, RenewCame, ReportCame, Tick

ITEMS_AT_MOST = 4096
REQUESTS_AT_MOST = 256


class Busy(Exception):
    """Too many requests wait already; the same one may be sent again later."""


class Conflict(Exception):
    """The service has changed since the request's author looked at it."""


class RulesFailed(Exception):
    """The rules could not handle a request; nothing was changed. A bug."""


@dataclass(frozen=True)
class Submission:
    """A request or a configuration, what it takes for granted, and who waits for the answer."""

    event: Ask
    answer: asyncio.Future[Answer]
    revision: int | None = None
    """Only if the service's record still has this revision."""
    epoch: int | None = None
    """Only if the service is still in this epoch."""


Item = Event | Submission

DROPPABLE: tuple[tuple[type, ...], ...] = ((Tick, ReportCame), (RenewCame,))
"""What makes room when the queue is full, the dearest last."""


class Inbox:
    """Written by everybody on the loop, read by one task."""

    def __init__(self, items_at_most: int = ITEMS_AT_MOST) -> None:
        self._items: deque[Item] = deque()
        self._items_at_most = items_at_most
        self._filled = asyncio.Event()
        self._ticks = 0
        self._requests = 0
        self.dropped: Counter[str] = Counter()
        """How many were dropped, by kind."""

    def __len__(self) -> int:
        return len(self._items)

    def tick(self) -> None:
        """Time went by; a tick that still waits says the same."""
        if self._ticks == 0:
            self.put(Tick(time.time_ns() // 1_000_000))

    def put(self, event: Tick | ReportCame | RenewCame) -> None:
        """Take in what may be dropped."""
        if len(self._items) >= self._items_at_most and not self._make_room():
            self._count_dropped(event)
            return
        self._add(event)

    def submit(self, submission: Submission) -> None:
        """Take in a request. Raises Busy."""
        if self._requests >= REQUESTS_AT_MOST:
            raise Busy(f"{self._requests} requests wait already; send it again in a moment")
        if len(self._items) >= self._items_at_most:
            self._make_room()
        self._add(submission)

    async def get(self) -> Item:
        """The oldest item; waits for one."""
        while not self._items:
            self._filled.clear()
            await self._filled.wait()
        item = self._items.popleft()
        self._note(item, -1)
        return item

    def _add(self, item: Item) -> None:
        self._items.append(item)
        self._note(item, 1)
        self._filled.set()

    def _make_room(self) -> bool:
        for kinds in DROPPABLE:
            for index, item in enumerate(self._items):
                if isinstance(item, kinds):
                    del self._items[index]
                    self._note(item, -1)
                    self._count_dropped(item)
                    return True
        return False

    def _note(self, item: Item, change: int) -> None:
        if isinstance(item, Tick):
            self._ticks += change
        elif isinstance(item, Submission):
            self._requests += change

    def _count_dropped(self, item: Item) -> None:
        kind = item.__struct_config__.tag if not isinstance(item, Submission) else "request"
        self.dropped[str(kind)] += 1
