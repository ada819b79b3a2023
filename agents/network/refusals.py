"""Counts by reason what was put aside, and says so at a limited rate."""

from __future__ import annotations

import time
from collections import Counter

import structlog

from agents.metrics import Metrics
from protocol.intake import Reason, Rejected

SAY_AGAIN_S = 10.0

log = structlog.get_logger("intake")


class Refusals:
    """For everything that reads messages in one agent."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._said_s: dict[str, float] = {}
        self._unsaid: Counter[str] = Counter()

    def note(self, rejected: Rejected, where: str) -> None:
        """One message was put aside; `where` it came in."""
        reason = rejected.reason.value
        self._metrics.rejected.labels(reason).inc()
        if rejected.reason is Reason.STALE:
            # The second copy of every message, where there are several brokers.
            return
        self._unsaid[reason] += 1
        now_s = time.monotonic()
        if now_s - self._said_s.get(reason, -SAY_AGAIN_S) < SAY_AGAIN_S:
            return
        self._said_s[reason] = now_s
        log.warning(
            "messages were put aside",
            reason=reason,
            count=self._unsaid.pop(reason),
            last_from=where[:200],
            last=str(rejected)[:300],
        )
