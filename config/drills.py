"""What outage and loss a service may have, and when a site's loss is rehearsed: `targets` of a
service, `drills` and `drill_max_age` in the topology.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterBadDateError, croniter
from pydantic import AfterValidator, Field, WithJsonSchema

from config.model import Declared
from config.problems import Refused
from config.values import DurationMs, NameText

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
FIELDS = 5


class Goal(NamedTuple):
    """At most so long an outage, and at most so much time whose commits are lost."""

    rto_ms: int
    rpo_ms: int


TIER_GOALS = {
    "strategis": Goal(15 * MINUTE_MS, 60_000),
    "tinggi": Goal(4 * HOUR_MS, 15 * MINUTE_MS),
    "rendah": Goal(24 * HOUR_MS, 24 * HOUR_MS),
}
"""Where a service declares none of its own."""


def _cron(text: str) -> str:
    if len(text.split()) != FIELDS or not croniter.is_valid(text):
        raise Refused(
            "this is no time of cron",
            'write minute, hour, day, month, weekday, such as "0 3 1 */3 *"',
        )
    try:
        croniter(text).get_next()
    except CroniterBadDateError:
        raise Refused(
            "this time never comes: no such month has such a day",
            'write a day that the month has, such as "0 3 30 4 *"',
        ) from None
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Refused("there is no such time zone", "write it like Asia/Jakarta or UTC") from None
    return text


TEXT: dict[str, Any] = {"type": "string"}
CronText = Annotated[str, AfterValidator(_cron), WithJsonSchema(TEXT)]
ZoneText = Annotated[str, AfterValidator(_zone), WithJsonSchema(TEXT)]


class Targets(Declared):
    """What of a service's goals differs from those of its tier."""

    rto_ms: DurationMs | None = Field(None, alias="rto", gt=0)
    rpo_ms: DurationMs | None = Field(None, alias="rpo")

    def over(self, tier: Goal) -> Goal:
        """The goals, with those of the tier where nothing is said."""
        rto_ms = tier.rto_ms if self.rto_ms is None else self.rto_ms
        rpo_ms = tier.rpo_ms if self.rpo_ms is None else self.rpo_ms
        return Goal(rto_ms, rpo_ms)


class Drill(Declared):
    """When a site is evacuated and gone back to, to see whether that works."""

    site: NameText
    schedule: CronText
    timezone: ZoneText = "UTC"
