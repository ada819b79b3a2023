"""What Prometheus is shown of the controller itself: its messages, store, rules, configuration."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from controller.link import Counts
from controller.status import ConfigurationStatus, Status
from protocol.intake import Reason


def configuration(known: ConfigurationStatus) -> Iterator[Metric]:
    """How the last reload ended, and what is in force since when."""
    yield GaugeMetricFamily(
        "saling_config_last_reload_successful",
        "1 unless the last reload of the configuration failed.",
        value=float(not known.failed),
    )
    yield GaugeMetricFamily(
        "saling_config_last_reload_success_timestamp_seconds",
        "Since when the configuration is in force, by the wall clock.",
        value=known.in_force_since_ms / 1000,
    )
    yield GaugeMetricFamily(
        "saling_config_waits_for_restart",
        "Keys of the file whose new value is taken by a restart only.",
        value=len(known.waits_for_restart),
    )
    info = GaugeMetricFamily(
        "saling_config_info", "SHA-256 of the file that is in force.", labels=["sha256"]
    )
    info.add_metric([known.sha256], 1.0)
    yield info


def messages(counts: Counts) -> Iterator[Metric]:
    accepted = CounterMetricFamily(
        "saling_messages_accepted", "Messages of agents that counted.", labels=["kind"]
    )
    for kind in ("report", "renew"):
        accepted.add_metric([kind], counts.accepted[kind])
    yield accepted
    rejected = CounterMetricFamily(
        "saling_messages_rejected", "Messages that were put aside.", labels=["reason"]
    )
    for reason in Reason:
        rejected.add_metric([reason.value], counts.rejected[reason.value])
    yield rejected


def machinery(status: Status) -> Iterator[Metric]:
    def one(name: str, text: str, value: float) -> Metric:
        return GaugeMetricFamily(name, text, value=value)

    yield one(
        "saling_controller_term", "The term in which this controller leads.", status.state.term
    )
    yield one("saling_store_up", "1 while the store answers.", float(not status.store_problem))
    yield one(
        "saling_store_broken_records",
        "Records that cannot be read; their services are left alone.",
        len(status.broken_records),
    )
    yield one("saling_events_waiting", "Events that wait for the rules.", status.waiting)
    dropped = CounterMetricFamily(
        "saling_events_dropped", "Events dropped because too many waited.", labels=["kind"]
    )
    for kind in ("tick", "report", "renew"):
        dropped.add_metric([kind], status.dropped.get(kind, 0))
    yield dropped
    yield CounterMetricFamily(
        "saling_rule_errors", "Events that the rules could not handle.", value=status.rule_errors
    )
    yield CounterMetricFamily(
        "saling_journal_errors", "Lines of the journal not written.", value=status.journal_errors
    )
