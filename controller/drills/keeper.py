"""Drills: when they are due, when none is begun by itself, and how the last ones ended.

A drill is a plan of two legs (`controller/core/plans/`): this module only asks for one, as an
operator may at any moment, and reads what became of it.
"""

from __future__ import annotations

import asyncio
import datetime
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol
from zoneinfo import ZoneInfo

import structlog
from croniter import CroniterError, croniter

from config.drills import Drill
from config.topology import Topology
from controller.core.actions import Answer
from controller.core.events import PlanAct, PlanAsked
from controller.core.plan_model import PlanKind
from controller.core.site_model import Health
from controller.core.sites.cautions import at
from controller.drills.report import Verdict, verdict_of
from controller.inbox import Busy, RulesFailed
from controller.status import DrillStatus, Status
from controller.stores.base import Plans, StoredPlan, StoreError

LOOK_S = 5.0
DRILLS_LOOKED_AT = 40
"""Other plans, however many, do not hide the last one of a site that passed."""
SCHEDULER = "the schedule"

log = structlog.get_logger("drills")


class DrillDesk(Protocol):
    """The controller as drills see it."""

    @property
    def status(self) -> Status:
        """Everything, as it is now."""

    async def submit(self, event: PlanAsked) -> Answer:
        """Ask the rules. Raises Busy, RulesFailed."""

    async def plans(self, limit: int, kind: PlanKind | None = None) -> Plans:
        """The newest plans, or those of one kind, newest first. Raises StoreError."""


@dataclass(frozen=True)
class _Last:
    """The last drill of a site that is over, and when one passed."""

    plan_id: str = ""
    verdict: Verdict | None = None
    passed_at_ms: int = 0


class DrillKeeper:
    """Looks now and then: is a drill due, and how did the last ones end."""

    def __init__(self, wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._wall_ms = wall_ms
        self._desk: DrillDesk | None = None
        self._last: dict[str, _Last] = {}
        self._skipped: dict[str, str] = {}
        self._seen: tuple[int, str] | None = None
        self._looked_ms = wall_ms()

    def attach(self, desk: DrillDesk) -> None:
        """Whom to ask."""
        self._desk = desk

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Once. What the store does not tell now is asked again later."""
        assert self._desk is not None
        status, now_ms = self._desk.status, self._wall_ms()
        try:
            await self._learn(status)
        except StoreError as error:
            log.warning("it is not known how the last drills ended", problem=str(error))
            return
        # A clock that was set back passes the same times again, and what was due then was begun.
        before_ms, self._looked_ms = self._looked_ms, max(self._looked_ms, now_ms)
        for drill in status.topology.drills:
            if self._is_due(drill, before_ms, now_ms):
                await self._begin(drill, status)

    def _is_due(self, drill: Drill, after_ms: int, until_ms: int) -> bool:
        try:
            return due_between(drill, after_ms, until_ms)
        except CroniterError as error:
            self._skipped[drill.site] = _no_time(drill, error)
            return False

    def known(self, status: Status) -> tuple[DrillStatus, ...]:
        """What is shown of each site that is drilled, or was."""
        now_ms = self._wall_ms()
        declared = {drill.site: drill for drill in status.topology.drills}
        max_age_ms = status.topology.drill_max_age_ms
        told = []
        for site in dict.fromkeys((*declared, *self._last)):
            drill, last = declared.get(site), self._last.get(site, _Last())
            age_ms = now_ms - last.passed_at_ms if last.passed_at_ms else -1
            next_at_ms, problem = _shown_next(drill, now_ms)
            told.append(
                DrillStatus(
                    site=site,
                    schedule=f"{drill.schedule} {drill.timezone}" if drill else "",
                    next_at_ms=next_at_ms,
                    last_id=last.plan_id,
                    last=last.verdict.value if last.verdict else "",
                    passed_at_ms=last.passed_at_ms,
                    age_ms=age_ms,
                    overdue=drill is not None and not 0 <= age_ms <= max_age_ms,
                    skipped=problem or self._skipped.get(site, ""),
                )
            )
        return tuple(told)

    async def _learn(self, status: Status) -> None:
        """Read the stored plans anew, where one was begun or is over since."""
        plan = status.state.plan
        seen = (status.state.plan_memory.made, plan.id if plan else "")
        if seen == self._seen or self._desk is None:
            return
        stored = await self._desk.plans(DRILLS_LOOKED_AT, PlanKind.DRILL)
        # Of many services it takes long, and the event loop must not wait for it.
        self._last = await asyncio.to_thread(_last_of, stored.plans, status.topology)
        self._seen = seen

    async def _begin(self, drill: Drill, status: Status) -> None:
        assert self._desk is not None
        why = "; ".join(self.objections(drill.site, status))
        if not why:
            asked = PlanAsked(
                uuid.uuid4().hex, PlanAct.BEGIN, SCHEDULER, f"drills: {drill.schedule}",
                PlanKind.DRILL, drill.site, at_ms=self._wall_ms(),
            )  # fmt: skip
            try:
                answer = await self._desk.submit(asked)
                why = "" if answer.accepted else "; ".join((answer.text, *answer.unmet))
            except (Busy, RulesFailed) as error:
                why = str(error)
        self._skipped[drill.site] = why
        if why:
            log.warning("a drill is due and is not begun", site=drill.site, why=why)
        else:
            log.info("a drill is begun by its schedule", site=drill.site)

    def objections(self, site: str, status: Status) -> Iterator[str]:
        """Why no drill of the site is begun by itself now. By hand the rules alone decide."""
        state = status.state
        if state.plan is not None:
            yield f"the plan {state.plan.id} is under way"
        last = self._last.get(site, _Last())
        if last.verdict is Verdict.FAILED:
            yield f"the last one, {last.plan_id}, failed: `saling drill {site}` by hand first"
        yield from _unhealthy(site, status)
        for service in state.services.values():
            if all(replica.site != site for replica in service.spec.replicas):
                continue
            if service.record.hold is not None or service.record.paused:
                yield f"{service.spec.name} is on hold or paused"


def _last_of(newest_first: list[StoredPlan], topology: Topology) -> dict[str, _Last]:
    """Of each site how its last drill ended, and when one passed."""
    last: dict[str, _Last] = {}
    for one in reversed(newest_first):
        verdict = verdict_of(one, topology)
        if verdict is Verdict.UNDER_WAY:
            continue
        passed_ms = last.get(one.plan.site, _Last()).passed_at_ms
        if verdict is Verdict.PASSED:
            passed_ms = one.changed_at_ms
        last[one.plan.site] = _Last(one.plan.id, verdict, passed_ms)
    return last


def due_between(drill: Drill, after_ms: int, until_ms: int) -> bool:
    """Whether its time came in between. What was missed while no controller ran stays missed."""
    return next_after(drill, after_ms) <= until_ms


def next_after(drill: Drill, after_ms: int) -> int:
    """The next time of its schedule, wall time in milliseconds."""
    zone = ZoneInfo(drill.timezone)
    start = datetime.datetime.fromtimestamp(after_ms / 1000, zone)
    coming: datetime.datetime = croniter(drill.schedule, start).get_next(datetime.datetime)
    return int(coming.timestamp() * 1000)


def _shown_next(drill: Drill | None, now_ms: int) -> tuple[int, str]:
    """The next time, 0 where there is none; and what is wrong with the schedule."""
    if drill is None:
        return 0, ""
    try:
        return next_after(drill, now_ms), ""
    except CroniterError as error:
        return 0, _no_time(drill, error)


def _no_time(drill: Drill, error: CroniterError) -> str:
    return f"the schedule {drill.schedule} has no next time ({error}); correct it in `drills`"


def _unhealthy(site: str, status: Status) -> Iterator[str]:
    """Neither the site nor its partner may have anything the matter."""
    nation = status.state.nation
    for name in filter(None, (site, status.topology.partner_site(site))):
        known = nation.sites.get(name)
        if known is None or known.health is not Health.HEALTHY:
            health = known.health.value if known else "not declared"
            yield f"{name} is {health}"
        for caution in at(nation, name):
            yield f"caution is on at {name}: {caution.text}"
