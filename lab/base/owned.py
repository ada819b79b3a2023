"""What is started and stopped as a whole: `async with` starts it and leaves nothing behind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Owned(ABC):
    """`stop` must be harmless after a start that failed halfway."""

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @abstractmethod
    async def start(self) -> None:
        """Start everything."""

    @abstractmethod
    async def stop(self) -> None:
        """End everything, whatever of it was started."""
