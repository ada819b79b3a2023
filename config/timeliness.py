"""What measured times say of a lease's numbers: whether renewals and fences come in time.

One sentence each, with the mend, for `saling status`, `saling explain` and `saling-agent doctor`.
"""

from __future__ import annotations

from config.leases import PROFILES, fence_budget_for
from protocol.messages import LeaseTerms

LATE_SHARE = 8
"""Two renewals and the fence fit into a lease, and over a quarter of it is left: one that comes
late by an eighth of the TTL leaves room for one more of that kind."""


def late_renewals(agent: str, gap_p999_ms: int, terms: LeaseTerms) -> str:
    """Empty when renewals come in time; 0 stands for 'not known'.

    Late is what a gap between two extensions has over the interval at which they are due.
    """
    late_ms, limit_ms = gap_p999_ms - terms.renew_ms, terms.ttl_ms // LATE_SHARE
    if not gap_p999_ms or late_ms <= limit_ms:
        return ""
    return (
        f"renewals of {agent} come late: p99.9 is {late_ms} ms, TTL/{LATE_SHARE} is {limit_ms} ms; "
        f"choose {_longer(terms)} or free the machine"
    )


def slow_fence(agent: str, kill_p999_ms: int, terms: LeaseTerms) -> str:
    """Empty when a fence fits its budget; 0 stands for 'not known'."""
    needed_ms = fence_budget_for(kill_p999_ms)
    if not kill_p999_ms or terms.fence_budget_ms >= needed_ms:
        return ""
    return (
        f"fences of {agent} may not end in time: p99.9 of a kill is {kill_p999_ms} ms, which "
        f"needs a fence_budget of {needed_ms} ms and not {terms.fence_budget_ms} ms; "
        f"choose {_longer(terms)} or free the machine"
    )


def _longer(terms: LeaseTerms) -> str:
    longer = sorted((known.ttl_ms, name) for name, known in PROFILES.items())
    name = next((name for ttl_ms, name in longer if ttl_ms > terms.ttl_ms), "")
    return f"profile {name}" if name else "a longer lease"
