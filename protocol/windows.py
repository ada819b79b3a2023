"""How long a lease counts for whom, and when silence is silence.

Clocks may run up to 1 % fast or slow (rho). The holder counts its lease shorter than it
was granted, from the moment it asked; the grantor counts it longer, from the moment it
answered. So the grantor's window always ends after the holder's.
"""

from __future__ import annotations

from protocol.messages import LeaseTerms

RHO_PERCENT = 1


def holder_window_ms(ttl_ms: int) -> int:
    """How long the holder may rely on a grant, counted from its question. Rounded down."""
    return ttl_ms * (100 - RHO_PERCENT) // 100


def grantor_window_ms(ttl_ms: int) -> int:
    """How long the grantor must honour a grant, counted from its answer. Rounded up."""
    return -(-ttl_ms * (100 + RHO_PERCENT) // 100)


def silence_ms(terms: LeaseTerms) -> int:
    """After how long without a commit-proven renewal a primary counts as silent.

    The backup vetoes, and the controller waits, with the same number, so that they agree.
    """
    return max(2 * terms.renew_ms, terms.ttl_ms // 2)
