"""What Prometheus is shown of the room at sites."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from config.measures import UNITS
from controller.core.foresight.capacity import SiteCapacity, capacities
from controller.core.gates.room import measures
from controller.core.site_model import Load
from controller.status import Status

LOADS = (
    ("saling_site_capacity", "What the site declares that it can carry.", "declared"),
    ("saling_site_demand", "What the services demand that are primary at the site.", "demanded"),
    ("saling_site_used", "What the site really uses, as its agents tell.", "used"),
)


def room(status: Status) -> Iterator[Metric]:
    """For each site and measure; a measure that is not declared, demanded or told is left out."""
    sites = capacities(status.state, status.now_ms)
    for name, text, field in LOADS:
        family = GaugeMetricFamily(name, text, labels=["site", "measure"])
        for site in sites:
            _add(family, site.site, getattr(site, field))
        yield family
    yield from _left_behind(sites)


def _left_behind(sites: tuple[SiteCapacity, ...]) -> Iterator[Metric]:
    labels = ["site", "lost"]
    held = GaugeMetricFamily(
        "saling_site_loss_held", "Services that would be HELD here if that site were lost.",
        labels=labels,
    )  # fmt: skip
    given_up = GaugeMetricFamily(
        "saling_site_loss_given_up", "Services that are given up here if that site is lost.",
        labels=labels,
    )  # fmt: skip
    for site in sites:
        for one in site.after:
            held.add_metric([site.site, one.lost], len(one.held))
            given_up.add_metric([site.site, one.lost], len(one.given_up))
    yield held
    yield given_up


def _add(family: GaugeMetricFamily, site: str, load: Load | None) -> None:
    for measure, value in zip(UNITS, measures(load) if load else (), strict=False):
        if value:
            family.add_metric([site, measure], value)
