"""The earthquakes of the USGS, as GeoJSON: a FeatureCollection, or one Feature.

A place is [longitude, latitude, depth in km], times are milliseconds since 1970. `tsunami` is 1
where the USGS points to word of a tsunami; that there is one it does not say.
"""

from __future__ import annotations

import re
from typing import Any

from controller.hazards.quakes import (
    ENTRIES_AT_MOST,
    Quake,
    Told,
    UnfitDocument,
    UnfitEntry,
    decode,
    item,
    line,
    number,
)

SOURCE = "USGS"
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
NATURAL = "earthquake"
DELETED = "deleted"


def read(raw: bytes) -> Told:
    """What a document says; what is no earthquake (a blast) is left out. Raises UnfitDocument."""
    document = decode(raw)
    kind = document.get("type") if isinstance(document, dict) else None
    if kind not in ("FeatureCollection", "Feature"):
        raise UnfitDocument("no GeoJSON of the USGS: its type is no FeatureCollection")
    features = document.get("features") if kind == "FeatureCollection" else [document]
    if not isinstance(features, list):
        raise UnfitDocument("no GeoJSON of the USGS: it has no list of features")
    if len(features) > ENTRIES_AT_MOST:
        raise UnfitDocument(f"{len(features)} features, more than {ENTRIES_AT_MOST}")
    quakes, unfit = [], []
    for feature in features:
        try:
            if _is_earthquake(feature):
                quakes.append(_quake(feature))
        except UnfitEntry as error:
            unfit.append(str(error))
    return Told(tuple(quakes), tuple(unfit))


def _is_earthquake(feature: Any) -> bool:
    told = item(feature, "properties")
    if not isinstance(told, dict):
        raise UnfitEntry("the properties are no object")
    return told.get("type", NATURAL) == NATURAL and told.get("status") != DELETED


def _quake(feature: dict[str, Any]) -> Quake:
    told, name = feature["properties"], item(feature, "id")
    if not isinstance(name, str) or ID.fullmatch(name) is None:
        raise UnfitEntry("the id is no name of an event")
    latitude, longitude, depth_km = _place(item(item(feature, "geometry"), "coordinates"))
    return Quake(
        id=f"usgs:{name}",
        source=SOURCE,
        at_ms=int(number(item(told, "time"), "time")),
        latitude=latitude,
        longitude=longitude,
        depth_km=depth_km,
        magnitude=number(item(told, "mag"), "magnitude"),
        place=line(told.get("place")),
        tsunami=told.get("tsunami") == 1,
    )


def _place(at: Any) -> tuple[float, float, float]:
    """Latitude, longitude and depth, which stand there as longitude, latitude, depth."""
    if not isinstance(at, list) or len(at) < 2:
        raise UnfitEntry("the coordinates are not [longitude, latitude, depth]")
    deep = at[2] if len(at) > 2 and at[2] is not None else 0.0
    return number(at[1], "latitude"), number(at[0], "longitude"), number(deep, "depth")
