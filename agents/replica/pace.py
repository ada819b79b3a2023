"""How far a copy is, how fast, and how long it will take: for the one who waits."""

from __future__ import annotations

from collections import deque

from agents.engines.base import Progress

WINDOW_S = 20.0
"""The rate is that of the last so many seconds: the link may be shared with others by now."""
SAMPLES_AT_MOST = 200
NOT_BEFORE_S = 2.0
MIB = 1024 * 1024
DOING_AT_MOST = 200


class Pace:
    """The progress of one job."""

    def __init__(self) -> None:
        self._doing = ""
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES_AT_MOST)

    def text(self, progress: Progress, now_s: float) -> str:
        """Such as 'copying the upstream: 120 of 4000 MiB, 35 MiB/s, about 2 min left'."""
        doing = progress.doing[:DOING_AT_MOST]
        if doing != self._doing:
            self._doing = doing
            self._samples.clear()
        if not progress.total_bytes:
            return doing
        done, total = progress.done_bytes, max(progress.total_bytes, progress.done_bytes)
        words = f"{doing}: {done // MIB} of {total // MIB} MiB"
        rate = self._rate_bytes_s(done, now_s)
        if rate <= 0:
            return words
        return f"{words}, {_rate(rate)}, about {_span((total - done) / rate)} left"

    def _rate_bytes_s(self, done: int, now_s: float) -> float:
        """0 while it cannot be told yet."""
        samples = self._samples
        samples.append((now_s, done))
        while now_s - samples[0][0] > WINDOW_S:
            samples.popleft()
        first_s, first = samples[0]
        span_s = now_s - first_s
        return (done - first) / span_s if span_s >= NOT_BEFORE_S else 0.0


def _rate(bytes_s: float) -> str:
    return f"{bytes_s / MIB:.0f} MiB/s" if bytes_s >= MIB else f"{bytes_s / 1024:.0f} KiB/s"


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
