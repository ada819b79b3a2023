"""Documents of the shapes that the feeds document, made up for the tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

NOW = 1_796_000_000_000
"""Wall time of the tests: 2026-11-30 00:53:20 UTC."""

HOUR = 3_600_000
LABUAN_BAJO = "-8.49,119.89"
NONE = "Tidak berpotensi tsunami"


def iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")


def gempa(**changes: Any) -> dict[str, Any]:
    """One entry of BMKG; None takes a key out."""
    entry: dict[str, Any] = {
        "Tanggal": "30 Nov 2026",
        "Jam": "07:43:20 WIB",
        "DateTime": iso(NOW - 600_000),
        "Coordinates": "-8.70,120.10",
        "Lintang": "8.70 LS",
        "Bujur": "120.10 BT",
        "Magnitude": "6.3",
        "Kedalaman": "12 km",
        "Wilayah": "Pusat gempa berada di laut 33 km tenggara Labuan Bajo",
        "Potensi": NONE,
        "Dirasakan": "IV Labuan Bajo, III Ruteng",
        "Shakemap": "20261130004320.mmi.jpg",
    }
    return {key: value for key, value in (entry | changes).items() if value is not None}


def autogempa(**changes: Any) -> bytes:
    return msgspec.json.encode({"Infogempa": {"gempa": gempa(**changes)}})


def gempaterkini(*entries: Any) -> bytes:
    return msgspec.json.encode({"Infogempa": {"gempa": list(entries)}})


def feature(id: Any = "us7000test", **changes: Any) -> dict[str, Any]:
    """One Feature of the USGS; `coordinates` and the properties can be changed."""
    coordinates = changes.pop("coordinates", [120.1, -8.7, 12.0])
    properties: dict[str, Any] = {
        "mag": 6.3,
        "place": "33 km SE of Labuan Bajo, Indonesia",
        "time": NOW - 600_000,
        "updated": NOW - 300_000,
        "tz": None,
        "status": "automatic",
        "tsunami": 0,
        "type": "earthquake",
    }
    return {
        "type": "Feature",
        "id": id,
        "properties": properties | changes,
        "geometry": {"type": "Point", "coordinates": coordinates},
    }


def collection(*features: Any) -> bytes:
    metadata = {"generated": NOW, "title": "USGS M4.5+ Earthquakes", "count": len(features)}
    return msgspec.json.encode(
        {"type": "FeatureCollection", "metadata": metadata, "features": list(features)}
    )
