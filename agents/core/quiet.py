"""Until when a replica in which nothing is left to do stays so, if nothing happens but time.

The rules read the time only where they compare it with a moment. Each of these moments is
listed here, so a Tick before the next of them would find every comparison as it was: it can
be skipped. One that does not count at present costs a step that does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from agents.core.holder import DRAIN_ASK_MS
from agents.core.model import Replica
from protocol.windows import silence_ms

FOREVER_MS = 2**62


def quiet_until_ms(replica: Replica, now_ms: int) -> int:
    """The first moment after now at which time alone may change what is decided or said."""
    return min((at_ms for at_ms in _moments(replica) if at_ms > now_ms), default=FOREVER_MS)


def _moments(replica: Replica) -> Iterator[int]:
    yield replica.retry_after_ms
    yield replica.rejoin_after_ms
    yield replica.promise_end_ms
    for lease in replica.leases:
        yield lease.end_ms
    assignment = replica.durable.assignment
    if assignment is None:
        return
    terms = assignment.terms
    yield replica.heard_ms + silence_ms(terms)
    yield replica.illness_heard_ms + silence_ms(terms)
    yield replica.probe_begun_ms + terms.renew_ms
    yield replica.probe_begun_ms + DRAIN_ASK_MS
    # These two are over only after their budget, not at its very end.
    yield replica.drain_begun_ms + terms.drain_budget_ms + 1
    yield replica.crashed_ms + terms.restart_budget_ms + 1
    for lease in replica.leases:
        yield lease.end_ms - terms.fence_budget_ms
