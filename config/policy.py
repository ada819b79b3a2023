"""What the reasons of a degraded site lead to: `policy`, for all sites and for one of them.

    policy:
      disk: evacuate
      latency: {strategis: evacuate, rendah: alarm}
      other: readiness

A reason is what an agent's check is called, or one that the controller finds by itself.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from config.problems import Refused
from config.tiers import TIERS
from config.values import NameText


class Consequence(StrEnum):
    """What a reason leads to, from the weakest to the strongest."""

    NOTHING = "nothing"
    ALARM = "alarm"
    READINESS = "readiness"
    EVACUATE = "evacuate"
    FAILOVER = "failover"


MOVES = (Consequence.EVACUATE, Consequence.FAILOVER)


def parse_consequences(value: Any) -> dict[str, Consequence]:
    """One for all tiers, or one a tier. Raises Refused."""
    if not isinstance(value, dict):
        return dict.fromkeys(TIERS, parse_consequence(value))
    for tier in value:
        if tier not in TIERS:
            raise Refused(f"{tier!r} is no tier", f"use {', '.join(TIERS)}")
    return {tier: parse_consequence(led) for tier, led in value.items()}


def parse_consequence(value: Any) -> Consequence:
    """Raises Refused."""
    try:
        return Consequence(value)
    except ValueError:
        mend = f"use {', '.join(Consequence)}, for all tiers or as {{tier: ...}}"
        raise Refused("this is nothing that a reason could lead to", mend) from None


CHOICE = {"type": "string", "enum": [str(one) for one in Consequence]}
Consequences = Annotated[
    dict[str, Consequence],
    BeforeValidator(parse_consequences),
    WithJsonSchema(
        {
            "anyOf": [
                CHOICE,
                {
                    "type": "object",
                    "properties": dict.fromkeys(TIERS, CHOICE),
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
Policy = dict[NameText, Consequences]
