"""What a drill reached, made from its stored plan and judged by the targets that are in force."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

from msgspec import Struct

from config.topology import Service, Topology
from controller.core.plan_model import PlanStatus, PlanStep, StepStatus
from controller.markdown import escape_markdown, markdown_table
from controller.stores.base import StoredPlan
from controller.utc import utc_text

AWAY, BACK = 1, 2
HEADS = (
    "service", "tier", "outage away", "outage back", "RTO reached / target", "worst case RTO",
    "lost", "RPO target", "",
)  # fmt: skip


class Verdict(StrEnum):
    """How a drill ended, or that it has not."""

    PASSED = "passed"
    FAILED = "failed"
    UNDER_WAY = "under way"


class Leg(Struct, frozen=True):
    """One move of a service."""

    to_agent: str
    status: str
    because: str
    outage_ms: int
    """-1 where it was not measured."""
    loss_bytes: int
    """-1 where it is not known; a planned move confirms the whole log before."""


class ServiceResult(Struct, frozen=True):
    """One service: what it reached, beside what it may and what is the worst case."""

    service: str
    tier: str
    rto_target_ms: int
    rpo_target_ms: int
    rto_ms: int
    """The longer outage of both moves; -1 where none was measured."""
    rpo_ms: int
    """0 where nothing was lost; -1 where that is not known."""
    worst_case_rto_ms: int
    """Of an unplanned failover, by the settings that are live now; -1 where it is not looked
    after any more."""
    away: Leg | None
    back: Leg | None
    passed: bool
    because: str
    """Why it did not pass; empty when it did."""


class DrillReport(Struct, frozen=True):
    """One drill."""

    id: str
    site: str
    by: str
    reason: str
    verdict: Verdict
    because: str
    begun_at: str
    ended_at: str
    """Empty while it is under way."""
    services: tuple[ServiceResult, ...]


WorstCase = Callable[[str], int]
"""The worst outage of an unplanned failover of a service, by its uid; -1 where unknown."""


def verdict_of(stored: StoredPlan, topology: Topology) -> Verdict:
    """Whether a drill passed: each service went and came back within its targets."""
    return report_of(stored, topology, lambda _uid: -1).verdict


def report_of(stored: StoredPlan, topology: Topology, worst_case: WorstCase) -> DrillReport:
    """All of it."""
    plan = stored.plan
    declared = {service.uid: service for service in topology.services}
    steps_of: dict[str, list[PlanStep]] = {}
    for step in plan.steps:
        steps_of.setdefault(step.service_uid, []).append(step)
    results = tuple(
        _result(steps, declared.get(uid), topology, worst_case(uid))
        for uid, steps in steps_of.items()
    )
    over = plan.status in (PlanStatus.DONE, PlanStatus.ENDED)
    passed = plan.status is PlanStatus.DONE and all(result.passed for result in results)
    ended = Verdict.PASSED if passed else Verdict.FAILED
    missed = [f"{result.service}: {result.because}" for result in results if not result.passed]
    return DrillReport(
        id=plan.id,
        site=plan.site,
        by=plan.by,
        reason=plan.reason,
        verdict=ended if over else Verdict.UNDER_WAY,
        because="; ".join(missed) if over and missed else plan.because,
        begun_at=utc_text(stored.begun_at_ms),
        ended_at=utc_text(stored.changed_at_ms) if over else "",
        services=results,
    )


def markdown(report: DrillReport) -> str:
    """For people: fit to be put into a ticket."""
    asked = f"{report.id}, by {report.by}" + (f": {report.reason}" if report.reason else "")
    when = f"From {report.begun_at} to {report.ended_at or '(under way)'}. {report.because}"
    lines = [
        f"# {escape_markdown(f'Drill of {report.site}: {report.verdict.value}')}",
        "",
        escape_markdown(asked),
        "",
        escape_markdown(when),
        "",
        *markdown_table(HEADS, map(_cells, report.services)),
        "",
        "Outages are those of the planned moves, from the last commit that the old primary proved "
        "to the first of the new one. The worst case is an unplanned failover under the settings "
        "that are live now. Targets are those in force when this was shown.",
    ]
    return "\n".join(lines) + "\n"


def _result(
    steps: list[PlanStep], declared: Service | None, topology: Topology, worst_ms: int
) -> ServiceResult:
    first = steps[0]
    away = next((step for step in steps if step.leg == AWAY), None)
    back = next((step for step in steps if step.leg == BACK), None)
    goal = topology.goal(declared) if declared else None
    done = [step for step in (away, back) if step and step.status is StepStatus.DONE]
    # Who is there already when it is asked has lost nothing and was not moved.
    rto_ms = max((step.outage_ms for step in done), default=-1)
    known = bool(done) and all(step.loss_bytes >= 0 for step in done)
    lost_bytes = sum(step.loss_bytes for step in done)
    because = _missed(away, back, done)
    if not because and lost_bytes > 0:
        because = f"{lost_bytes} bytes were lost in planned moves"
    if not because and goal and rto_ms > goal.rto_ms:
        because = f"the outage of {_time(rto_ms)} is longer than {_time(goal.rto_ms)}"
    return ServiceResult(
        service=first.service,
        tier=first.tier,
        rto_target_ms=goal.rto_ms if goal else -1,
        rpo_target_ms=goal.rpo_ms if goal else -1,
        rto_ms=rto_ms,
        rpo_ms=0 if known and lost_bytes == 0 else -1,
        worst_case_rto_ms=worst_ms,
        away=_leg(away),
        back=_leg(back),
        passed=not because,
        because=because,
    )


def _missed(away: PlanStep | None, back: PlanStep | None, done: Iterable[PlanStep]) -> str:
    for step, what in ((away, "moved away"), (back, "brought back")):
        if step is None:
            return f"it was not {what}"
        if step.status is not StepStatus.DONE:
            return f"it was not {what}: {step.because or step.status.value}"
    unknown = [step for step in done if step.outage_ms < 0]
    if any(step.tries for step in unknown):
        return "its outage was not measured, for the controller restarted"
    return (
        "it was moved before the drill asked for it, so no outage was measured" if unknown else ""
    )


def _leg(step: PlanStep | None) -> Leg | None:
    if step is None:
        return None
    return Leg(step.to_agent, step.status.value, step.because, step.outage_ms, step.loss_bytes)


def _cells(one: ServiceResult) -> tuple[str, ...]:
    legs = [_time(leg.outage_ms) if leg else "-" for leg in (one.away, one.back)]
    lost = "nothing" if one.rpo_ms == 0 else "not known"
    return (
        one.service, one.tier, *legs, f"{_time(one.rto_ms)} / {_time(one.rto_target_ms)}",
        _time(one.worst_case_rto_ms), lost, _time(one.rpo_target_ms),
        "passed" if one.passed else one.because,
    )  # fmt: skip


def _time(ms: int) -> str:
    if ms < 0:
        return "-"
    if ms < 120_000:
        return f"{ms / 1000:.1f} s"
    return f"{ms // 60_000} min" if ms < 7_200_000 else f"{ms / 3_600_000:g} h"
