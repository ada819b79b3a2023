"""What Prometheus scrapes of the sites' health, of the links, and of who reaches whom.

Labels are sites, and reasons that the configuration names: an agent's check may be called
anything, so all others are counted as `other`.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from config.tiers import TIERS
from controller.core.site_model import Consequence, Health, SiteState, Stage
from controller.core.sites.look import Look
from controller.core.sites.matrix import matrix
from controller.core.sites.policy import OTHER, leads_to, readiness
from controller.core.sites.shared_risk import is_broken
from controller.status import Status


def nation_metrics(status: Status) -> Iterator[Metric]:
    """Of active sites alone: of others nothing is expected."""
    nation = status.state.nation
    active = [site for site in nation.sites.values() if site.spec.stage is Stage.ACTIVE]
    yield _healths(active)
    yield _reasons(active)
    yield _readiness(status, active)
    yield from _links(status)
    yield from _paths(status)
    blind = GaugeMetricFamily(
        "saling_controller_blind", "1 while the controller is probably the one that is cut off."
    )
    blind.add_metric([], float(bool(nation.blind)))
    yield blind


def _healths(active: list[SiteState]) -> Metric:
    family = GaugeMetricFamily(
        "saling_site_health", "1 for what the site is called now.", labels=["site", "health"]
    )
    for site in active:
        for health in Health:
            label = health.value.replace(" ", "_")
            family.add_metric([site.spec.name, label], float(site.health is health))
    return family


def _reasons(active: list[SiteState]) -> Metric:
    """Those that lead to an alarm at least, in any tier."""
    family = GaugeMetricFamily(
        "saling_site_reason",
        "1 while this makes the site degraded, and its policy wants it known.",
        labels=["site", "reason"],
    )
    for site in active:
        named = {reason if reason in site.spec.policy else OTHER for reason in _told(site)}
        for reason in sorted({*site.spec.policy, OTHER}):
            family.add_metric([site.spec.name, reason], float(reason in named))
    return family


def _told(site: SiteState) -> list[str]:
    return [
        reason
        for reason in site.reasons
        if any(leads_to(site.spec, reason, tier) is not Consequence.NOTHING for tier in TIERS)
    ]


def _readiness(status: Status, active: list[SiteState]) -> Metric:
    asked = readiness(status.state.nation, status.services, status.now_ms)
    family = GaugeMetricFamily(
        "saling_site_readiness",
        "1 while the site is asked to be ready for its partner's services.",
        labels=["site"],
    )
    for site in active:
        family.add_metric([site.spec.name], float(site.spec.name in asked))
    return family


def _links(status: Status) -> Iterator[Metric]:
    family = GaugeMetricFamily(
        "saling_link_broken",
        "1 while two sites that others reach do not reach each other, or only one way.",
        labels=["site", "other"],
    )
    for link in status.state.nation.links:
        family.add_metric([*link.sites], float(is_broken(link)))
    yield family


def _paths(status: Status) -> Iterator[Metric]:
    labels = ["from_site", "to_site"]
    trip = GaugeMetricFamily(
        "saling_site_path_round_trip_seconds", "Median round trip of the probes.", labels=labels
    )
    lost = GaugeMetricFamily(
        "saling_site_path_loss_ratio", "Share of the last probes without an answer.", labels=labels
    )
    age = GaugeMetricFamily(
        "saling_site_path_answer_age_seconds", "How long ago the last answer came.", labels=labels
    )
    for way in matrix(Look(status.state.nation, (), status.now_ms)):
        ends = [way.from_site, way.to_site]
        if way.round_trip_us:
            trip.add_metric(ends, way.round_trip_us / 1e6)
        if way.asked:
            lost.add_metric(ends, way.lost / way.asked)
        if way.age_ms >= 0:
            age.add_metric(ends, way.age_ms / 1000)
    yield from (trip, lost, age)
