"""One copy at a time over one link: who copies from an agent, and who waits behind.

Two copies at once would each take twice as long, and the first backup would be whole only
when both are. Shared by all replicas of an agent, so no more can wait than it has.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable

from msgspec import Struct

TELL_EVERY_S = 5.0


class _Place(Struct, eq=False):
    """One place in a queue."""

    service: str
    first: asyncio.Event


class Turns:
    """The links of one agent, by the agent at their other end."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[_Place]] = {}

    @contextlib.asynccontextmanager
    async def turn(
        self, partner: str, service: str, tell: Callable[[str], None]
    ) -> AsyncIterator[None]:
        """In the order of asking. `tell` says now and then for whom it waits."""
        queue = self._queues.setdefault(partner, deque())
        place = _Place(service, asyncio.Event())
        queue.append(place)
        try:
            while queue[0] is not place:
                tell(f"waiting: {queue[0].service} is being copied from {partner} first")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TELL_EVERY_S):
                        await place.first.wait()
            yield
        finally:
            queue.remove(place)
            if queue:
                queue[0].first.set()
