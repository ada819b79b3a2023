"""Indonesia's three time zones, which know no summer time."""

from __future__ import annotations

from enum import StrEnum

HOUR_MS = 3_600_000
WITA_FROM_LONGITUDE = 114.4
"""Bali and the south-east of Kalimantan; the east of Java before it keeps WIB."""
WIT_FROM_LONGITUDE = 125.3
"""Maluku and Papua; Alor and the north of Sulawesi before it keep WITA."""


class TimeZone(StrEnum):
    """The zone by whose clock a site's people live."""

    WIB = "WIB"
    WITA = "WITA"
    WIT = "WIT"

    @property
    def ahead_ms(self) -> int:
        """How far it is ahead of UTC."""
        return {"WIB": 7, "WITA": 8, "WIT": 9}[self.value] * HOUR_MS


def zone_at(longitude: float) -> TimeZone:
    """The zone that a place most likely keeps. Zones follow provinces: a site can name its own."""
    if longitude < WITA_FROM_LONGITUDE:
        return TimeZone.WIB
    return TimeZone.WITA if longitude < WIT_FROM_LONGITUDE else TimeZone.WIT
