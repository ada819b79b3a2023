"""How the last values of one measure are spread: exact percentiles over a bounded past."""

from __future__ import annotations

from collections import Counter, deque

KEPT = 10_000
"""At a renewal every 400 ms that is the last hour, and p99.9 still has ten values above it."""


class Spread:
    """Counts whole milliseconds. The oldest value is forgotten when one too many comes."""

    def __init__(self, kept: int = KEPT) -> None:
        self._values: deque[int] = deque()
        self._counts: Counter[int] = Counter()
        self._kept = kept

    def __len__(self) -> int:
        return len(self._values)

    def add(self, value_ms: int) -> None:
        """One more value. Raises ValueError when it is negative."""
        if value_ms < 0:
            raise ValueError(f"a span of {value_ms} ms: it ends before it began")
        self._values.append(value_ms)
        self._counts[value_ms] += 1
        if len(self._values) > self._kept:
            self._forget(self._values.popleft())

    def percentile_ms(self, per_mille: int) -> int:
        """The value that so many of a thousand do not exceed (nearest rank); 0 without any.

        999 is p99.9, 1000 the highest.
        """
        above = len(self._values) - max(1, -(-len(self._values) * per_mille // 1000))
        for value_ms in sorted(self._counts, reverse=True):
            above -= self._counts[value_ms]
            if above < 0:
                return value_ms
        return 0

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
        self._counts.clear()

    def _forget(self, value_ms: int) -> None:
        self._counts[value_ms] -= 1
        if not self._counts[value_ms]:
            del self._counts[value_ms]
