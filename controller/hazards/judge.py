"""Which sites an earthquake puts under caution, and for how long. It moves nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from config.hazards import Hazards
from config.topology import Site, SiteState
from controller.core.site_model import Caution
from controller.hazards.quakes import Quake

EARTH_RADIUS_KM = 6371.0
AHEAD_AT_MOST_MS = 5 * 60_000
"""So far a source's clock may be ahead of ours; later than that it tells of the future."""


class Outcome(StrEnum):
    """What becomes of an entry of a document."""

    CAUTION = "caution"
    OUT_OF_REACH = "out_of_reach"
    KNOWN = "known"
    """The same was said before."""
    OLD = "old"
    """Whatever caution it led to is over."""
    FUTURE = "future"
    MALFORMED = "malformed"


class Judged(NamedTuple):
    """What an earthquake leads to."""

    outcome: Outcome
    cautions: tuple[Caution, ...] = ()


def judge(quake: Quake, sites: Iterable[Site], rules: Hazards, at_ms: int) -> Judged:
    """Judge one earthquake at this wall time."""
    if quake.at_ms > at_ms + AHEAD_AT_MOST_MS:
        return Judged(Outcome.FUTURE)
    places = [site for site in sites if site.state is not SiteState.RETIRED]
    found = [caution for site in places if (caution := _at(quake, site, rules)) is not None]
    if not found:
        return Judged(Outcome.OUT_OF_REACH)
    left = tuple(c for c in found if c.begun_at_ms + c.for_ms > at_ms)
    return Judged(Outcome.CAUTION, left) if left else Judged(Outcome.OLD)


def surface_km(latitude: float, longitude: float, other_lat: float, other_lon: float) -> float:
    """The way between two points along the surface of the earth."""
    phi, other_phi = math.radians(latitude), math.radians(other_lat)
    across = math.radians(other_lon - longitude)
    half = (
        math.sin((other_phi - phi) / 2) ** 2
        + math.cos(phi) * math.cos(other_phi) * math.sin(across / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, half)))


def _at(quake: Quake, site: Site, rules: Hazards) -> Caution | None:
    """The caution at one site; None where it is out of reach."""
    there = site.location
    away_km = surface_km(quake.latitude, quake.longitude, there.latitude, there.longitude)
    focus_km = math.hypot(away_km, max(0.0, quake.depth_km))
    lasts_ms = [
        reach.for_ms
        for reach in rules.quakes
        if quake.magnitude >= reach.magnitude and focus_km <= reach.within_km
    ]
    wave = quake.tsunami and away_km <= rules.tsunami.within_km
    if wave:
        lasts_ms.append(rules.tsunami.for_ms)
    if not lasts_ms:
        return None
    return Caution(
        site=site.id,
        id=quake.id,
        source=quake.source,
        text=_text(quake, away_km, wave),
        begun_at_ms=quake.at_ms,
        for_ms=max(lasts_ms),
    )


def _text(quake: Quake, away_km: float, wave: bool) -> str:
    at = datetime.fromtimestamp(quake.at_ms / 1000, UTC)
    told = (
        f"earthquake of M {quake.magnitude:.1f}, {away_km:.0f} km away, "
        f"{quake.depth_km:.0f} km deep, at {at:%Y-%m-%d %H:%M:%S} UTC"
    )
    place = f": {quake.place}" if quake.place else ""
    return f"{told}{place}" + ("; a tsunami may come" if wave else "")
