"""How whole sites are moved: `moves` in the topology."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from config.model import Declared, quantity
from config.problems import Refused
from config.values import DurationMs, Whole

DAY_MS = 24 * 3600 * 1000


class Failback(StrEnum):
    """When services go back to the site that they prefer."""

    BY_HAND = "by_hand"
    AFTER_DWELL = "after_dwell"
    """By itself, once the site has been healthy for the dwell time."""


class Moves(Declared):
    """What holds for plans, and for those that the controller makes by itself."""

    dwell_ms: DurationMs = quantity("dwell", 30 * 60 * 1000, "30m")
    """For how long a site that was left is not gone back to, nor left once more, by itself."""
    per_hour: Annotated[Whole, Field(ge=0, le=100)] = 2
    """So many plans an hour the controller makes by itself at most."""
    at_once: Annotated[Whole, Field(ge=1, le=100)] = 4
    """How many groups, or services without one, move at the same time."""
    failback: Failback = Failback.BY_HAND

    @model_validator(mode="after")
    def dwells_within_reason(self) -> Self:
        """Shorter than a switchover takes it would damp nothing."""
        if not 60_000 <= self.dwell_ms <= DAY_MS:
            raise Refused(
                f"dwell is {self.dwell_ms} ms, outside 1m to 1d",
                "choose from 1m to 1d",
                key="dwell",
            )
        return self
