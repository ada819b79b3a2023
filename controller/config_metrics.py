"""What Prometheus is shown of the configuration that is in force."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from controller.status import ConfigurationStatus


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
