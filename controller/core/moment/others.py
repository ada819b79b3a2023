"""What a service may ask of the others: who is on the way where, and at which sites.

Worked out when it is asked, which a service that is well never does, and once a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from controller.core.model import HeldFor, Phase, ServiceState
from controller.core.site_model import Nation
from protocol.windows import silence_ms

REPORTS_MISSED = 3
"""An agent that missed so many of its reports may be dead."""
REPORTS_GRACE = 4
"""So many reports after a countdown should have begun it is expected no more."""
HELD_IN_COUNTDOWN = (HeldFor.LOSS, HeldFor.CAPACITY)
"""Held with the orders of a countdown: nobody is granted a lease, and the backup may take over."""


class Others:
    """All services at one moment, and the sites. Never changes but for what was asked already."""

    def __init__(self, services: Mapping[str, ServiceState], nation: Nation, now_ms: int) -> None:
        self.services = services
        self.nation = nation
        self.now_ms = now_ms
        self.placements: dict[str, Any] = {}
        """What `controller.core.gates.room` has worked out already, by site."""

    @cached_property
    def groups(self) -> dict[str, list[str]]:
        """The uids of the services of each group."""
        found: dict[str, list[str]] = {}
        for uid, service in self.services.items():
            if service.spec.group:
                found.setdefault(service.spec.group, []).append(uid)
        return found

    @cached_property
    def hears_anybody(self) -> bool:
        """Whether a primary or a backup of any service was heard of late."""
        return any(self._is_heard(service) for service in self.services.values())

    def _is_heard(self, service: ServiceState) -> bool:
        record, reports = service.record, service.reports
        seen = (reports.get(agent) for agent in (record.primary, record.backup))
        long_ms = stale_after_ms(service)
        return any(one is not None and self.now_ms - one.at_ms <= long_ms for one in seen)

    @cached_property
    def _counted_down(self) -> dict[str, int]:
        """When the last countdown of a primary's agent began."""
        began_ms: dict[str, int] = {}
        for service in self.services.values():
            record = service.record
            if record.phase is Phase.COUNTDOWN or held_in_countdown(service):
                earlier_ms = began_ms.get(record.primary, 0)
                began_ms[record.primary] = max(earlier_ms, service.entered_ms)
        return began_ms

    def falls_silent(self, service: ServiceState) -> bool:
        """Whether a countdown of a protected service must be expected."""
        record, spec = service.record, service.spec
        if record.phase is not Phase.PROTECTED or record.paused or record.hold is not None:
            return False
        heard_ms = max(service.primary_heard_ms, service.entered_ms)
        silent_ms, interval_ms = silence_ms(record.terms), spec.report_interval_ms
        long_ms = min(REPORTS_MISSED * interval_ms, silent_ms)
        quiet = self.now_ms - heard_ms >= long_ms
        suspect = heard_ms < self._counted_down.get(record.primary, 0)
        expected_ms = silent_ms + REPORTS_GRACE * interval_ms
        return (quiet or suspect) and self.now_ms - service.proven_ms < expected_ms


def stale_after_ms(service: ServiceState) -> int:
    """The age at which a report is not believed any more."""
    return max(3 * service.spec.report_interval_ms, silence_ms(service.record.terms))


def site_of(service: ServiceState, agent: str) -> str:
    """Where a copy stands; empty where there is none."""
    replica = service.spec.replica(agent)
    return replica.site if replica else ""


def held_in_countdown(service: ServiceState) -> bool:
    """Whether it is held where a promotion may still come of it by itself."""
    record = service.record
    return record.phase is Phase.HELD and record.held_for in HELD_IN_COUNTDOWN


NOBODY = Others({}, Nation(), 0)
"""For a view of one service alone: no other one, and no site with a capacity."""
