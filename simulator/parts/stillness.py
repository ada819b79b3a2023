"""A process that stands still, and does what it had to do when it goes on."""

from __future__ import annotations

from functools import partial

from simulator.kernel import Do, Kernel


class Stillness:
    """Until when, and what is late because of it."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.until_ms = 0
        self._late: dict[int, Do] = {}
        self._count = 0

    @property
    def is_over(self) -> bool:
        """Whether it goes on."""
        return self._kernel.now_ms >= self.until_ms

    def last(self, until_ms: int) -> None:
        """It stands still until then at the least."""
        self.until_ms = max(self.until_ms, until_ms)

    def do(self, do: Do) -> None:
        """Do it now, or when it goes on."""
        if self.is_over:
            do()
            return
        self._count += 1
        self._late[self._count] = do
        self._kernel.at(self.until_ms, partial(self._catch_up, self._count))

    def end(self) -> None:
        """It goes on, with all that is late, in its order."""
        self.until_ms = 0
        for number in self._late:
            self._kernel.at(self._kernel.now_ms, partial(self._catch_up, number))

    def _catch_up(self, number: int) -> None:
        do = self._late.pop(number, None)
        if do is not None:
            self.do(do)
