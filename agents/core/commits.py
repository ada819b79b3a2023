"""Whether a primary's commits are slow: what its probe rows took over the last minute."""

from __future__ import annotations

from collections import deque

WINDOW_MS = 60_000
KEPT = 1000
LEAST = 20
"""Fewer commits than this say nothing."""
SLOW_LEAST = 3
"""One slow commit in a minute is no slow disk, though it may be the minute's p99."""
PER_CENT = 99


class CommitTimes:
    """Of one replica, by the boot-time clock."""

    def __init__(self) -> None:
        self._took: deque[tuple[int, int]] = deque(maxlen=KEPT)

    def took(self, at_ms: int, took_ms: int) -> None:
        """A probe row was committed, or was given up after so long."""
        self._took.append((at_ms, took_ms))

    def slow(self, service: str, bound_ms: int, now_ms: int) -> str:
        """Why they are too slow, with the figures; empty when they are not or it is not known."""
        times = sorted(took_ms for at_ms, took_ms in self._took if now_ms - at_ms <= WINDOW_MS)
        slow = sum(took_ms > bound_ms for took_ms in times)
        if len(times) < LEAST or slow < SLOW_LEAST or slow * 100 < len(times) * (100 - PER_CENT):
            return ""
        p99_ms = times[-(-len(times) * PER_CENT // 100) - 1]
        return (
            f"{service}: commits take up to {p99_ms} ms (p99 of {len(times)} in the last minute), "
            f"and {bound_ms} ms is the bound"
        )
