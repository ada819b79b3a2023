"""What was once sent over each link, so that it may come again, as retained junk does.

The newest messages are kept, and of the older ones a thin selection that reaches back to the
beginning.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from simulator.kernel import Kernel

Letter = tuple[bytes, Callable[[bytes], None]]

NEW_MOST = 40
OLD_MOST = 60
OLD_EVERY = 10


class Mailbag:
    """Keeps letters by link."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._new: dict[tuple[str, str], deque[Letter]] = {}
        self._old: dict[tuple[str, str], deque[Letter]] = {}
        self._counts: dict[tuple[str, str], int] = {}

    def keep(self, source: str, target: str, raw: bytes, deliver: Callable[[bytes], None]) -> None:
        """One more was sent."""
        link = (source, target)
        if link not in self._new:
            self._new[link], self._old[link] = deque(maxlen=NEW_MOST), deque(maxlen=OLD_MOST)
        count = self._counts[link] = self._counts.get(link, 0) + 1
        if count % OLD_EVERY == 0:
            self._old[link].append((raw, deliver))
        self._new[link].append((raw, deliver))

    def some(self, source: str, target: str, count: int) -> list[Letter]:
        """Any of them, in the order of their sending."""
        link = (source, target)
        kept = [*self._old.get(link, ()), *self._new.get(link, ())]
        chosen = sorted(self._kernel.between(0, len(kept) - 1) for _ in range(count if kept else 0))
        return [kept[index] for index in chosen]
