"""The feeds and thresholds of hazards: what is refused, and what holds where nothing is said."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from config.hazards import Feed, Hazards

HOUR_MS = 3_600_000


def feed(**changes: Any) -> Feed:
    usual = {"name": "bmkg", "format": "bmkg", "url": "https://feeds.example/autogempa.json"}
    return Feed.model_validate(usual | changes)


def test_nothing_is_asked_where_nothing_is_declared() -> None:
    assert Hazards().feeds == ()
    assert [reach.magnitude for reach in Hazards().quakes] == [5.0, 6.0, 7.0, 8.0]
    assert Hazards().tsunami.for_ms == 24 * HOUR_MS


def test_a_polled_feed_is_stale_after_ten_intervals_and_a_posted_one_never() -> None:
    assert feed(every="2m").stale_ms == 20 * 60_000
    assert feed(url=None).stale_ms == 0
    assert feed(url=None, stale_after="1h").stale_ms == HOUR_MS


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "ftp://feeds.example/a.json"},
        {"url": "https://siti:secret@feeds.example/a.json"},
        {"url": "https:///a.json"},
        {"url": "https://feeds.example/a b.json"},
        {"url": "file:///etc/passwd"},
        {"format": "emsc"},
        {"every": "1s"},
        {"every": "2d"},
        {"stale_after": "1m"},
        {"name": "BMKG feed"},
    ],
)
def test_a_feed_that_cannot_be_asked_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        feed(**changes)


@pytest.mark.parametrize(
    "wrong",
    [
        {"quakes": []},
        {"quakes": [{"magnitude": 5.0, "within_km": 100.0, "for": "31d"}]},
        {"quakes": [{"magnitude": 5.0, "within_km": -1.0, "for": "1h"}]},
        {
            "quakes": [
                {"magnitude": 6.0, "within_km": 100.0, "for": "1h"},
                {"magnitude": 5.0, "within_km": 200.0, "for": "2h"},
            ]
        },
        {
            "quakes": [
                {"magnitude": 5.0, "within_km": 100.0, "for": "2h"},
                {"magnitude": 6.0, "within_km": 100.0, "for": "1h"},
            ]
        },
        {"tsunami": {"for": "1s"}},
        {"feeds": [{"name": "a", "format": "bmkg"}, {"name": "a", "format": "usgs"}]},
    ],
)
def test_thresholds_that_take_the_stronger_more_lightly_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Hazards.model_validate(wrong)
