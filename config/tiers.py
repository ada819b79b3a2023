"""How much a service matters."""

from __future__ import annotations

from enum import StrEnum


class Tier(StrEnum):
    """How much a service matters; the targets for outage and loss follow from it."""

    STRATEGIS = "strategis"
    TINGGI = "tinggi"
    RENDAH = "rendah"


TIERS = tuple(tier.value for tier in Tier)
"""Their names, what matters most first."""
