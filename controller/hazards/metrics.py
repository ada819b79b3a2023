"""What Prometheus scrapes of feeds and cautions. Feeds and sites are as many as are declared."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controller.core.sites import cautions
from controller.hazards.desk import Arrival, FeedView, HazardDesk
from controller.hazards.judge import Outcome
from controller.status import Status


class HazardCollector(Collector):
    """Looks at the feeds and cautions when it is asked."""

    def __init__(self, desk: HazardDesk, status: Callable[[], Status]) -> None:
        self._desk = desk
        self._status = status

    def collect(self) -> Iterator[Metric]:
        feeds = self._desk.feeds()
        yield from _ages(feeds)
        yield from _counts(feeds)
        yield _cautions(self._status())


def _ages(feeds: tuple[FeedView, ...]) -> Iterator[Metric]:
    age = GaugeMetricFamily(
        "saling_hazard_feed_age_seconds",
        "Since a hazard feed was last heard, or since the start where it never was.",
        labels=["feed"],
    )
    stale = GaugeMetricFamily(
        "saling_hazard_feed_stale",
        "1 while a hazard feed was not heard for longer than its stale_after.",
        labels=["feed"],
    )
    for feed in feeds:
        age.add_metric([feed.name], feed.silent_ms / 1000)
        stale.add_metric([feed.name], float(feed.stale))
    yield age
    yield stale


def _counts(feeds: tuple[FeedView, ...]) -> Iterator[Metric]:
    labels = ["feed", "outcome"]
    documents = CounterMetricFamily(
        "saling_hazard_documents",
        "Documents of hazard feeds, by what became of them.",
        labels=labels,
    )
    entries = CounterMetricFamily(
        "saling_hazard_entries", "Entries of hazard feeds, by what became of them.", labels=labels
    )
    for feed in feeds:
        for arrival in Arrival:
            documents.add_metric([feed.name, arrival], feed.documents.get(arrival, 0))
        for outcome in Outcome:
            entries.add_metric([feed.name, outcome], feed.entries.get(outcome, 0))
    yield documents
    yield entries


def _cautions(status: Status) -> Metric:
    on = GaugeMetricFamily(
        "saling_site_cautions", "Cautions that are on at a site.", labels=["site"]
    )
    for site in status.topology.sites:
        on.add_metric([site.id], len(cautions.at(status.state.nation, site.id)))
    return on
