"""The numbers of a lease, and the rule that they must satisfy to be safe.

The holder counts its lease from when it asked, at 1 % less than the TTL. Within that time
two renewals may be missed, and the fence must still be over before the end.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from config.model import Declared
from config.problems import Refused
from config.values import DurationMs
from protocol.messages import LeaseTerms
from protocol.windows import RHO_PERCENT, holder_window_ms

TTL_LEAST_MS = 1000
TTL_MOST_MS = 600_000
RENEW_LEAST_MS = 100
DRAIN_LEAST_MS = 500

FENCE_MARGIN_MS = 200
"""What a fence gets beyond the time in which 999 of 1,000 kills were over: an agent finds out in
175 ms at most that its guard stands still (`agents/replica/keeper.py`), and only then begins to
kill."""
FENCE_LEAST_MS = FENCE_MARGIN_MS + 100
"""With the least time for the kill itself."""


def fence_budget_for(kill_p999_ms: int) -> int:
    """The least budget of a fence whose kills take so long."""
    return kill_p999_ms + FENCE_MARGIN_MS


# No profile has less than 500 ms for the fence: of 600 fences on a busy machine p99.9 took 291 ms
# until the last process was gone (docs/figures.md, "The fence"), and the margin comes on top.
PROFILES = {
    "fast": LeaseTerms(
        ttl_ms=2000,
        renew_ms=400,
        fence_budget_ms=500,
        restart_budget_ms=1000,
        drain_budget_ms=3000,
        log_budget_ms=1000,
    ),
    "standard": LeaseTerms(
        ttl_ms=6000,
        renew_ms=1000,
        fence_budget_ms=500,
        restart_budget_ms=3000,
        drain_budget_ms=5000,
        log_budget_ms=3000,
    ),
    "patient": LeaseTerms(
        ttl_ms=30_000,
        renew_ms=4000,
        fence_budget_ms=1000,
        restart_budget_ms=10_000,
        drain_budget_ms=15_000,
        log_budget_ms=10_000,
    ),
}
DEFAULT_PROFILE = "standard"


def check_terms(terms: LeaseTerms) -> None:
    """Raises Refused when the numbers break the safety rule, with the figures."""
    if not TTL_LEAST_MS <= terms.ttl_ms <= TTL_MOST_MS:
        raise Refused(
            f"ttl is {terms.ttl_ms} ms, outside 1s to 10m", "choose a ttl from 1s to 10m", "ttl"
        )
    if terms.renew_ms < RENEW_LEAST_MS:
        raise Refused(
            f"renew is {terms.renew_ms} ms, less than {RENEW_LEAST_MS} ms",
            "renew every 100ms or more",
            "renew",
        )
    if terms.fence_budget_ms < FENCE_LEAST_MS:
        raise Refused(
            f"fence_budget is {terms.fence_budget_ms} ms, less than {FENCE_LEAST_MS} ms",
            f"give the fence {FENCE_LEAST_MS}ms or more",
            "fence_budget",
        )
    if terms.drain_budget_ms < DRAIN_LEAST_MS:
        raise Refused(
            f"drain_budget is {terms.drain_budget_ms} ms, less than {DRAIN_LEAST_MS} ms",
            "give a planned stop 500ms or more",
            "drain_budget",
        )
    needed_ms = 2 * terms.renew_ms + terms.fence_budget_ms
    usable_ms = holder_window_ms(terms.ttl_ms)
    if usable_ms <= needed_ms:
        raise Refused(
            f"the lease is too short: {usable_ms} ms of its ttl can be relied upon, and two "
            f"renewals and the fence take {needed_ms} ms",
            f"raise ttl above {needed_ms * 100 // (100 - RHO_PERCENT) + 1}ms, or lower renew",
            "ttl",
        )


class Lease(Declared):
    """Own numbers for a lease, instead of a named profile."""

    ttl_ms: DurationMs = Field(alias="ttl")
    renew_ms: DurationMs = Field(alias="renew")
    fence_budget_ms: DurationMs = Field(alias="fence_budget")
    restart_budget_ms: DurationMs = Field(alias="restart_budget")
    drain_budget_ms: DurationMs = Field(alias="drain_budget")
    log_budget_ms: DurationMs = Field(default=1000, alias="log_budget")

    @model_validator(mode="after")
    def satisfies_the_rule(self) -> Self:
        """Refuses numbers that break the safety rule."""
        check_terms(self.terms())
        return self

    def terms(self) -> LeaseTerms:
        """The numbers as Orders carry them."""
        return LeaseTerms(
            ttl_ms=self.ttl_ms,
            renew_ms=self.renew_ms,
            fence_budget_ms=self.fence_budget_ms,
            restart_budget_ms=self.restart_budget_ms,
            drain_budget_ms=self.drain_budget_ms,
            log_budget_ms=self.log_budget_ms,
        )
