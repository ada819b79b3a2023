"""A plan: the services of a site are moved as one, in order, step by step.

It is stored before anything is done, and each step is judged by where the service is, not by
what was once begun: so it goes on after a crash at any step (docs/decisions/0020-sites.md).
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


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


class PlanStatus(StrEnum):
    """Where a plan stands."""

    RUNNING = "running"
    PAUSED = "paused"
    WAITING = "waiting"
    """It cannot go on by itself; `because` says what it waits for."""
    DONE = "done"
    ENDED = "ended"
    """Given up: by a person, or because it can never be done; `because` says why."""


class StepStatus(StrEnum):
    """Where one service of a plan stands."""

    TO_DO = "to do"
    MOVING = "moving"
    DONE = "done"
    LEFT_OUT = "left out"
    """It is not moved; `because` says why."""


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
    outage_ms: int = -1
    """As measured by the controller, where it was."""


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
    at_once: int = 4
    """How many groups, or services without one, move at the same time."""
    revision: int = 1
    """Every stored change makes a new one."""
    begun_at_ms: int = 0
    """Wall time, for people."""
