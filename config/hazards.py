"""Hazards: where word of earthquakes comes from, and how near and strong one leads to caution."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from config.model import Declared, quantity
from config.problems import Refused
from config.values import DurationMs, NameText, Real, is_host, need_text, text_schema

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
CAUTION_AT_MOST_MS = 30 * 24 * HOUR_MS
EVERY_AT_LEAST_MS = 5_000
MISSED_POLLS = 10
"""A polled feed is stale after so many intervals, where the file says nothing else."""

URL = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[!-~]*)?")


def parse_url(value: Any) -> str:
    """An http or https URL without a name or password. Raises Refused."""
    mend = "write it like https://feeds.example/autogempa.json"
    text = need_text(value, mend)
    found = URL.fullmatch(text)
    if found is None or not is_host(found[1].strip("[]")):
        raise Refused("this is no URL of a feed", mend)
    return text


FeedUrl = Annotated[
    str, BeforeValidator(parse_url), text_schema("^https?://", "https://feeds.example/quakes.json")
]
Kilometres = Annotated[Real, Field(gt=0, le=20_000)]
Magnitude = Annotated[Real, Field(ge=0, le=10)]


def refuse_length(for_ms: int) -> None:
    """Raise Refused for a caution that could hardly matter, or would hardly end."""
    if not MINUTE_MS <= for_ms <= CAUTION_AT_MOST_MS:
        raise Refused("outside 1m to 30d", "choose from 1m to 30d", key="for")


class Feed(Declared):
    """One source of earthquakes: polled, or posted to the controller under its name."""

    name: NameText
    format: Literal["bmkg", "usgs"]
    url: FeedUrl | None = None
    """Asked by the controller; left out where documents are posted."""
    every_ms: DurationMs = quantity("every", MINUTE_MS, "1m")
    stale_after_ms: DurationMs | None = Field(None, alias="stale_after")
    """After so long without a document that is understood an alert rings. If left out: ten
    intervals where it is polled, never where it is posted."""

    @model_validator(mode="after")
    def is_patient(self) -> Self:
        """Public feeds are not to be asked without a pause, nor called stale at once."""
        if not EVERY_AT_LEAST_MS <= self.every_ms <= 24 * HOUR_MS:
            raise Refused("outside 5s to 24h", "choose from 5s to 24h", key="every")
        if self.stale_after_ms is not None and self.stale_after_ms < 2 * self.every_ms:
            raise Refused(
                "shorter than two intervals: one answer that is late would ring an alert",
                "give two times `every` or more",
                key="stale_after",
            )
        return self

    @property
    def stale_ms(self) -> int:
        """After how long without word it is stale; 0: never."""
        if self.stale_after_ms is not None:
            return self.stale_after_ms
        return MISSED_POLLS * self.every_ms if self.url else 0


class Reach(Declared):
    """From this magnitude on, sites so near to the focus are under caution for so long."""

    magnitude: Magnitude
    within_km: Kilometres
    for_ms: DurationMs = Field(alias="for")

    @model_validator(mode="after")
    def ends(self) -> Self:
        """A caution is bounded."""
        refuse_length(self.for_ms)
        return self


class Tsunami(Declared):
    """Where the source says that a tsunami may come: sites so near to the epicentre."""

    within_km: Kilometres = 500.0
    for_ms: DurationMs = quantity("for", 24 * HOUR_MS, "24h")

    @model_validator(mode="after")
    def ends(self) -> Self:
        """A caution is bounded."""
        refuse_length(self.for_ms)
        return self


USUAL_TEXT: list[Any] = [
    {"magnitude": 5.0, "within_km": 100.0, "for": "6h"},
    {"magnitude": 6.0, "within_km": 200.0, "for": "12h"},
    {"magnitude": 7.0, "within_km": 400.0, "for": "24h"},
    {"magnitude": 8.0, "within_km": 800.0, "for": "48h"},
]
USUAL = tuple(Reach.model_validate(one) for one in USUAL_TEXT)
"""Assumed, for buildings that are made for earthquakes: who knows his ground sets his own."""


class Hazards(Declared):
    """The feeds, and what of their word leads to caution at a site. Caution moves nothing."""

    feeds: Annotated[tuple[Feed, ...], Field(max_length=16)] = ()
    quakes: tuple[Reach, ...] = Field(
        USUAL, min_length=1, max_length=16, json_schema_extra={"default": USUAL_TEXT}
    )
    """From the weakest to the strongest; each reaches as far as the one before, at least."""
    tsunami: Tsunami = Field(default_factory=Tsunami)

    @model_validator(mode="after")
    def fits_together(self) -> Self:
        """Feeds are told apart, and a stronger earthquake is never taken more lightly."""
        names = [feed.name for feed in self.feeds]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise Refused(
                f"has one name twice ({', '.join(twice)})",
                "give each feed a name of its own",
                key="feeds",
            )
        for weaker, stronger in pairwise(self.quakes):
            grows = (
                weaker.magnitude < stronger.magnitude
                and weaker.within_km <= stronger.within_km
                and weaker.for_ms <= stronger.for_ms
            )
            if not grows:
                raise Refused(
                    f"magnitude {stronger.magnitude:g} is not stronger than the one before it, or "
                    "is taken more lightly",
                    "list them from the weakest on; neither within_km nor for may become less",
                    key="quakes",
                )
        return self
