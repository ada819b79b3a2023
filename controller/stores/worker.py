"""The store behind a thread of its own: calls come one at a time, and stop no loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from controller.stores.base import Store, StoreError, StoreFailed

STORE_TIMEOUT_S = 10.0

Result = TypeVar("Result")


class StoreWorker:
    """Runs the store's calls one at a time in a thread, so that a slow disk stops no loop."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.problem = ""
        self._thread = ThreadPoolExecutor(1, "store")

    async def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Raises StoreError, StoreFailed also when there is no answer in time."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(STORE_TIMEOUT_S):
                result = await loop.run_in_executor(self._thread, function, *arguments)
        except TimeoutError:
            self.problem = f"the store did not answer within {STORE_TIMEOUT_S:g} s: see to its disk"
            raise StoreFailed(self.problem) from None
        except StoreError as error:
            self.problem = str(error)
            raise
        self.problem = ""
        return result

    async def close(self) -> None:
        """Let go of the store, after the calls that are under way."""
        await self.call(self.store.close)
        self._thread.shutdown(wait=False)
