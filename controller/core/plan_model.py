"""A plan: the services of a site are moved as one, in order, step by step.

It is stored before anything is done, and each step is judged by where the service is, not by
what was once begun: so it goes on after a crash at any step (docs/decisions/0020-sites.md).
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

MINUTE_MS = 60_000
BY_POLICY_AT_MOST = 100
"""No configuration allows more plans an hour that nobody asked for."""


class PlanKind(StrEnum):
    """What shall become of a site's services."""

    EVACUATE = "evacuate"
    """Moved away in order; nothing is lost."""
    FAILOVER = "failover"
    """Moved away though the site is not reached; what may be lost is bounded by each service."""
    FAILBACK = "failback"
    """Those that prefer this site are moved back to it."""
    DRILL = "drill"
    """Evacuated, looked at, and brought back, with a report."""


AWAY = (PlanKind.EVACUATE, PlanKind.FAILOVER)
"""A site is left, and the dwell time begins."""


class PlanStatus(StrEnum):
    """Where a plan stands."""

    RUNNING = "running"
    PAUSED = "paused"
    WAITING = "waiting"
    """It cannot go on now; `because` says what it waits for: mostly for a person."""
    DONE = "done"
    ENDED = "ended"
    """Given up: by a person, or because it can never be done; `because` says why."""


OVER = (PlanStatus.DONE, PlanStatus.ENDED)


class StepStatus(StrEnum):
    """Where one service of a plan stands."""

    TO_DO = "to do"
    MOVING = "moving"
    DONE = "done"
    LEFT_OUT = "left out"
    """It is not moved; `because` says why."""


SETTLED = (StepStatus.DONE, StepStatus.LEFT_OUT)


class PlanStep(Struct, frozen=True):
    """One service."""

    service: str
    service_uid: str
    group: str
    order: int
    from_agent: str
    to_agent: str
    status: StepStatus = StepStatus.TO_DO
    because: str = ""
    tries: int = 0
    """How often it was asked for."""
    outage_ms: int = -1
    """As measured by the controller, where it was."""
    leg: int = 1
    """The steps of a leg begin when all of the one before are settled: a drill has two."""
    tier: str = ""
    loss_bytes: int = -1
    """As estimated when it was taken over; -1 where that is not known."""
    took_ms: int = -1
    """From the request to the new primary's service, where one life of the controller saw both."""

    @property
    def key(self) -> str:
        """Which step of its plan it is."""
        return f"{self.leg}/{self.service_uid}"

    @property
    def lane(self) -> tuple[str, str]:
        """What moves one after the other: a group, or a service without one."""
        return ("group", self.group) if self.group else ("service", self.service)


class Plan(Struct, frozen=True):
    """One plan, as stored."""

    id: str
    kind: PlanKind
    site: str
    by: str
    reason: str = ""
    status: PlanStatus = PlanStatus.RUNNING
    because: str = ""
    """The operator's sentence for where it stands."""
    steps: tuple[PlanStep, ...] = ()
    """In the order in which they are begun."""
    at_once: int = 4
    """How many groups, or services without one, move at the same time."""
    revision: int = 1
    """Every stored change makes a new one."""
    begun_at_ms: int = 0
    """Wall time, for people."""
    number: int = 0
    """Of all plans that this store has seen, from 1."""
    by_policy: bool = False
    """The controller made it by itself, as the configuration says."""
    despite_caution: bool = False
    """Also to a site where caution is on, as a person said."""
    over_capacity: bool = False
    """Also where a site has no room for it, as a person said."""


class PlanChange(Struct, frozen=True):
    """One line of the history of plans: of the plan, or of one of its steps."""

    plan_id: str
    kind: PlanKind
    site: str
    revision: int
    status: PlanStatus
    because: str
    service: str = ""
    """Empty where it is the plan's own change."""
    step: str = ""
    """The status of that service's step."""
    by: str = ""
    """Who asked for this very change; empty when nobody did."""
    reason: str = ""
    outage_ms: int = -1
    loss_bytes: int = -1


class Failback(StrEnum):
    """When services go back to the site that they prefer."""

    BY_HAND = "by_hand"
    AFTER_DWELL = "after_dwell"
    """By itself, once the site has been healthy for the dwell time."""


class MoveRules(Struct, frozen=True):
    """How sites are moved, as configured."""

    dwell_ms: int = 30 * MINUTE_MS
    """For how long a site that was left is not gone back to, nor left again, by itself."""
    per_hour: int = 2
    """So many plans an hour, at most, are made by policy."""
    at_once: int = 4
    failback: Failback = Failback.BY_HAND


class Moved(Struct, frozen=True):
    """A plan that is over."""

    plan_id: str
    kind: PlanKind
    site: str
    status: PlanStatus
    begun_ms: int
    """On the clock of the rules; before its beginning, where an earlier life saw it."""
    ended_ms: int
    by_policy: bool = False


class PlanMemory(Struct, frozen=True):
    """What is known of plans beside the one under way. It is not stored."""

    made: int = 0
    """The number of the last plan."""
    past: tuple[Moved, ...] = ()
    """Of those that are over the ones from which dwell times and the budget of an hour are
    counted, the oldest first."""
    looked_ms: int = 0
    """When it was last looked whether a site is to be moved by policy."""
    taken_ms: int = 0
    """When this life of the controller took the present plan up."""
    waits_since_ms: int = -1
    """Since when it waits with nothing of it under way; -1 while it does not."""
    tried_ms: dict[str, int] = {}
    """When a step was last asked for or given up, by its key."""
    outage_ms: dict[str, int] = {}
    """Of takeovers since the plan began, by uid of the service."""
    loss_bytes: dict[str, int] = {}
