"""What becomes of documents: understood or not, each is counted; only caution reaches the rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.hazards import Hazards
from config.loader import load_topology
from config.topology import Topology
from controller.core.actions import Answer
from controller.core.events import Cautioned
from controller.core.sites.cautions import AT_A_SITE_AT_MOST
from controller.hazards.desk import HazardDesk, NoSuchFeed
from controller.hazards.quakes import UnfitDocument
from tests.controller.hazards.documents import HOUR, NOW, autogempa, collection, feature, gempa
from tests.controller.hazards.documents import gempaterkini as many

EXAMPLE = Path(__file__).parents[3] / "config" / "example" / "four-sites.yaml"
FEEDS = {
    "feeds": [
        {"name": "bmkg", "format": "bmkg", "url": "https://feeds.example/a.json", "every": "1m"},
        {"name": "usgs", "format": "usgs"},
    ]
}


class Rules:
    """A controller that writes down what it is told."""

    def __init__(self) -> None:
        self.heard: list[Cautioned] = []
        self.now_ms = 0
        self.fails: Exception | None = None
        self.refuses = ""
        declared = load_topology(EXAMPLE).value
        self.topology = declared.model_copy(update={"hazards": Hazards.model_validate(FEEDS)})
        self.desk = HazardDesk(lambda: self.topology, self.submit, lambda: self.now_ms, lambda: NOW)

    async def submit(self, event: Any) -> Answer:
        if self.fails is not None:
            raise self.fails
        self.heard.append(event)
        return Answer(event.id, not self.refuses, self.refuses)

    def entries(self, name: str = "bmkg") -> dict[str, int]:
        (feed,) = [one for one in self.desk.feeds() if one.name == name]
        return {outcome: count for outcome, count in feed.entries.items() if count}

    def documents(self, name: str = "bmkg") -> dict[str, int]:
        (feed,) = [one for one in self.desk.feeds() if one.name == name]
        return feed.documents


@pytest.fixture
def rules() -> Rules:
    return Rules()


async def test_an_earthquake_near_a_site_reaches_the_rules(rules: Rules) -> None:
    taken = await rules.desk.take("bmkg", autogempa())
    (event,) = rules.heard
    assert [c.site for c in event.cautions] == ["labuan-bajo"]
    assert event.cautions == taken.cautions
    assert event.at_ms == NOW
    assert taken.source == "BMKG"
    assert rules.entries() == {"caution": 1}


async def test_the_same_word_again_is_known_and_reaches_nobody(rules: Rules) -> None:
    for raw in (autogempa(), autogempa(), many(gempa(), gempa())):
        await rules.desk.take("bmkg", raw)
    assert len(rules.heard) == 1
    assert rules.entries() == {"caution": 1, "known": 3}


async def test_what_the_rules_could_not_take_is_not_known_the_next_time(rules: Rules) -> None:
    rules.fails = RuntimeError("the store is down")
    with pytest.raises(RuntimeError):
        await rules.desk.take("bmkg", autogempa())
    rules.fails = None
    await rules.desk.take("bmkg", autogempa())
    assert len(rules.heard) == 1


async def test_far_old_future_and_malformed_entries_change_nothing_and_are_counted(
    rules: Rules,
) -> None:
    raw = many(
        gempa(Coordinates="60.0,10.0"),
        gempa(DateTime="2026-11-01T00:00:00+00:00"),
        gempa(DateTime="2027-01-01T00:00:00+00:00"),
        gempa(Magnitude=""),
    )
    await rules.desk.take("bmkg", raw)
    assert rules.heard == []
    assert rules.entries() == {"out_of_reach": 1, "old": 1, "future": 1, "malformed": 1}


async def test_a_document_of_thousands_of_earthquakes_says_no_more_than_a_site_keeps(
    rules: Rules,
) -> None:
    many_of_them = [feature(f"us{i}", time=NOW - 600_000 + i) for i in range(4000)]
    await rules.desk.take("usgs", collection(*many_of_them))
    (event,) = rules.heard
    assert len(event.cautions) == AT_A_SITE_AT_MOST
    assert {c.id for c in event.cautions} == {f"usgs:us{i}" for i in range(3984, 4000)}
    assert rules.entries("usgs") == {"caution": 4000}


async def test_what_finds_no_place_at_a_site_is_told(rules: Rules) -> None:
    assert (await rules.desk.take("bmkg", autogempa())).refused == ""
    rules.refuses = "no more cautions are kept at batam"
    taken = await rules.desk.take("bmkg", autogempa(Magnitude="7.9"))
    assert taken.refused == "no more cautions are kept at batam"


async def test_a_document_that_is_none_changes_nothing_and_is_counted(rules: Rules) -> None:
    with pytest.raises(UnfitDocument):
        await rules.desk.take("bmkg", b"<html>busy</html>")
    assert rules.heard == []
    assert rules.documents() == {"malformed": 1}
    assert "JSON" in rules.desk.feeds()[0].problem


async def test_an_empty_document_is_a_word_of_its_feed_that_ends_its_problem(rules: Rules) -> None:
    with pytest.raises(UnfitDocument):
        await rules.desk.take("bmkg", autogempa().decode().encode("utf-16"))
    taken = await rules.desk.take("bmkg", many())
    assert not taken.cautions
    assert rules.heard == []
    assert (rules.desk.feeds()[0].problem, rules.desk.feeds()[0].age_ms) == ("", 0)


async def test_the_other_format_is_read_by_its_own_feed_alone(rules: Rules) -> None:
    await rules.desk.take("usgs", collection(feature()))
    assert [c.source for c in rules.heard[0].cautions] == ["USGS"]
    with pytest.raises(UnfitDocument):
        await rules.desk.take("bmkg", collection(feature()))


async def test_a_feed_that_is_not_declared_is_refused(rules: Rules) -> None:
    with pytest.raises(NoSuchFeed):
        await rules.desk.take("other", autogempa())


async def test_other_thresholds_judge_anew(rules: Rules) -> None:
    await rules.desk.take("bmkg", autogempa(Magnitude="4.0"))
    assert rules.heard == []
    wide = {**FEEDS, "quakes": [{"magnitude": 3.0, "within_km": 500.0, "for": "1h"}]}
    topology: Topology = rules.topology
    rules.topology = topology.model_copy(update={"hazards": Hazards.model_validate(wide)})
    await rules.desk.take("bmkg", autogempa(Magnitude="4.0"))
    assert len(rules.heard) == 1


async def test_a_polled_feed_that_says_nothing_for_long_is_stale(rules: Rules) -> None:
    bmkg, usgs = rules.desk.feeds()
    assert (bmkg.stale, bmkg.stale_after_ms, usgs.stale_after_ms) == (False, 600_000, 0)
    rules.now_ms = 600_001
    assert {(feed.age_ms, feed.silent_ms) for feed in rules.desk.feeds()} == {(-1, 600_001)}
    assert [feed.stale for feed in rules.desk.feeds()] == [True, False]
    rules.desk.unchanged("bmkg")
    assert (rules.desk.feeds()[0].stale, rules.desk.feeds()[0].age_ms) == (False, 0)
    rules.now_ms += HOUR
    with pytest.raises(UnfitDocument):
        await rules.desk.take("bmkg", b"")
    assert rules.desk.feeds()[0].stale
    await rules.desk.take("bmkg", many())
    assert not rules.desk.feeds()[0].stale
