"""The earthquakes of BMKG, Indonesia's agency for meteorology, climatology and geophysics.

`autogempa.json` holds one at `Infogempa.gempa`, `gempaterkini.json` and `gempadirasakan.json` a
list there. All values are texts. `DateTime` is UTC; `Tanggal` and `Jam` say the same in WIB and
are not read. BMKG asks that it be shown as the source.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from controller.hazards.quakes import (
    DIGITS,
    ENTRIES_AT_MOST,
    Quake,
    Told,
    UnfitDocument,
    UnfitEntry,
    decode,
    item,
    line,
    number,
    whole_line,
)

SOURCE = "BMKG"
DEPTH = re.compile(rf"({DIGITS}) ?km", re.IGNORECASE)
PLACE = re.compile(r"([-+]?[0-9]{1,3}(?:\.[0-9]{1,9})?) ?, ?([-+]?[0-9]{1,3}(?:\.[0-9]{1,9})?)")
POTENTIAL = re.compile(r"(?:\b(\w+)\s+)?berpotensi\b", re.IGNORECASE)
"""It begins at words alone, so that a word of megabytes takes no longer than it is."""
NOT = ("tidak", "tdk", "tak", "bukan", "belum", "tanpa")
WARNING = "peringatan dini tsunami"
WARNING_OVER = ("berakhir", "diakhiri", "pengakhiran", "dicabut")


def read(raw: bytes) -> Told:
    """What a document says. Raises UnfitDocument."""
    try:
        found = item(item(decode(raw), "Infogempa"), "gempa")
    except UnfitEntry as error:
        raise UnfitDocument(f"no document of BMKG's earthquakes: {error}") from None
    entries = found if isinstance(found, list) else [found]
    if len(entries) > ENTRIES_AT_MOST:
        raise UnfitDocument(f"{len(entries)} entries, more than {ENTRIES_AT_MOST}")
    quakes, unfit = [], []
    for entry in entries:
        try:
            quakes.append(_quake(entry))
        except UnfitEntry as error:
            unfit.append(str(error))
    return Told(tuple(quakes), tuple(unfit))


def may_cause_tsunami(text: str) -> bool:
    """What `Potensi` says. 'Tidak berpotensi tsunami' holds 'berpotensi', too."""
    words = text.casefold()
    if "tsunami" not in words:
        return False
    if WARNING in words and not any(over in words for over in WARNING_OVER):
        return True
    return any(found[1] not in NOT for found in POTENTIAL.finditer(words))


def _quake(entry: Any) -> Quake:
    latitude, longitude = _place(item(entry, "Coordinates"))
    at_ms = _time(item(entry, "DateTime"))
    return Quake(
        id=f"bmkg:{at_ms}",
        source=SOURCE,
        at_ms=at_ms,
        latitude=latitude,
        longitude=longitude,
        depth_km=_depth(entry.get("Kedalaman")),
        magnitude=number(item(entry, "Magnitude"), "magnitude"),
        place=line(entry.get("Wilayah")),
        tsunami=may_cause_tsunami(whole_line(entry.get("Potensi"))),
    )


def _place(text: Any) -> tuple[float, float]:
    """Latitude and longitude, in this order."""
    found = PLACE.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise UnfitEntry("the Coordinates are not 'lat,lon'")
    return number(found[1], "latitude"), number(found[2], "longitude")


def _time(text: Any) -> int:
    try:
        at = datetime.fromisoformat(text.strip())
    except (AttributeError, TypeError, ValueError):
        raise UnfitEntry("the DateTime is no time in ISO 8601") from None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return int(number(at.timestamp() * 1000, "time"))


def _depth(text: Any) -> float:
    """Where it is not told, as near to the surface as it could be."""
    found = DEPTH.fullmatch(text.strip()) if isinstance(text, str) else None
    return number(found[1], "depth") if found else 0.0
