"""Until when a replica in which nothing is left to do stays so, if nothing happens but time.

The rules read the time only where they compare it with a moment. Each of these moments is
listed here, so a Tick before the next of them would find every comparison as it was: it can
be skipped. One that does not count at present costs a step that does nothing.
"""

from __future__ import annotations

from agents.core.holder import DRAIN_ASK_MS
from agents.core.model import Replica
from protocol.messages import Goal
from protocol.windows import silence_ms

FOREVER_MS = 2**62


def rests(replica: Replica, now_ms: int) -> bool:
    """Whether a Tick now would find nothing to do: the last step left nothing, and no moment that
    the rules ask for has come since."""
    return now_ms < replica.quiet_until_ms


def quiet_until_ms(replica: Replica, now_ms: int) -> int:
    """The first moment after now at which time alone may change what is decided or said."""
    return min([at_ms for at_ms in _moments(replica) if at_ms > now_ms], default=FOREVER_MS)


def _moments(replica: Replica) -> list[int]:
    moments = [replica.retry_after_ms, replica.rejoin_after_ms, replica.promise_end_ms]
    moments.append(replica.veto_end_ms)
    moments += [lease.end_ms for lease in replica.leases]
    assignment = replica.durable.assignment
    if assignment is None:
        return moments
    terms = assignment.terms
    heard_for_ms = silence_ms(terms)
    moments += [lease.end_ms - terms.fence_budget_ms for lease in replica.leases]
    moments += [
        replica.heard_ms + heard_for_ms,
        replica.illness_heard_ms + heard_for_ms,
        replica.probe_begun_ms + terms.renew_ms,
        # These two are over only after their budget, not at its very end.
        replica.drain_begun_ms + terms.drain_budget_ms + 1,
        replica.crashed_ms + terms.restart_budget_ms + 1,
    ]
    if assignment.goal is Goal.DRAIN:
        moments.append(replica.probe_begun_ms + DRAIN_ASK_MS)
    return moments
