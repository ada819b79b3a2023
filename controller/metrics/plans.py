"""What Prometheus scrapes of the plan under way."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from controller.core.foresight.preview import left_ms
from controller.core.plan_model import OVER, PlanStatus, StepStatus
from controller.status import Status

OPEN = tuple(status for status in PlanStatus if status not in OVER)


def plans(status: Status) -> Iterator[Metric]:
    """All are 0 where no plan is under way."""
    plan = status.state.plan
    standing = GaugeMetricFamily(
        "saling_plan", "1 for the status of the plan under way.", labels=["status"]
    )
    for one in OPEN:
        standing.add_metric([one.value], float(plan is not None and plan.status is one))
    yield standing
    steps = GaugeMetricFamily(
        "saling_plan_steps", "Steps of the plan under way, by where they stand.", labels=["status"]
    )
    told = [step.status for step in plan.steps] if plan else []
    for step in StepStatus:
        steps.add_metric([step.value.replace(" ", "_")], told.count(step))
    yield steps
    yield GaugeMetricFamily(
        "saling_plan_left_seconds",
        "How long the rest of the plan under way takes, about.",
        value=left_ms(plan) / 1000 if plan else 0.0,
    )
