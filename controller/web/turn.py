"""What takes long is done for one caller at a time, so that many cannot hold the controller up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from controller.web.desk import Problem

RETRY_S = 5


class Turn:
    """Whose turn it is with one thing."""

    def __init__(self, what: str, wait_s: float) -> None:
        """`what` is one of these, in words; a caller waits for `wait_s` while another has it."""
        self._what = what
        self._wait_s = wait_s
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """While it lasts nobody else has it. Raises Problem where it does not come in time."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self._lock.acquire()
        except TimeoutError:
            text = f"another {self._what} is being made, and one at a time is"
            mend = f"ask again in {RETRY_S} s"
            raise Problem(503, text, "controller", mend, RETRY_S) from None
        try:
            yield
        finally:
            self._lock.release()
