"""What Prometheus is shown of drills."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from controller.drills.report import Verdict
from controller.status import DrillStatus


def drills(known: tuple[DrillStatus, ...]) -> Iterator[Metric]:
    """Of each site that is drilled, or was."""
    age = GaugeMetricFamily(
        "saling_drill_age_seconds", "How long ago a drill of the site passed.", labels=["site"]
    )
    overdue = GaugeMetricFamily(
        "saling_drill_overdue",
        "1 while drills of the site are scheduled and none passed within drill_max_age.",
        labels=["site"],
    )
    failed = GaugeMetricFamily(
        "saling_drill_failed", "1 while the last drill of the site failed.", labels=["site"]
    )
    for one in known:
        if one.age_ms >= 0:
            age.add_metric([one.site], one.age_ms / 1000)
        overdue.add_metric([one.site], float(one.overdue))
        failed.add_metric([one.site], float(one.last == Verdict.FAILED))
    yield age
    yield overdue
    yield failed
