"""An earthquake as a feed tells it, and what no feed may tell.

What a feed says is a stranger's word: every figure is bounded, every text is one short line, and
an entry that is not as documented is set aside with the reason, alone.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

ENTRIES_AT_MOST = 5_000
TEXT_AT_MOST = 120
DIGITS = r"[0-9]{1,9}(?:[.,][0-9]{1,9})?"
NUMBER = re.compile(rf"[-+]?{DIGITS}")
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
BOUNDS = {
    "latitude": (-90.0, 90.0),
    "longitude": (-180.0, 180.0),
    "depth": (-10.0, 1000.0),
    "magnitude": (-2.0, 10.5),
    "time": (0.0, 2.0**53),
}


class Quake(Struct, frozen=True):
    """One earthquake."""

    id: str
    """The same in every later word of it: `bmkg:1796000000000`."""
    source: str
    at_ms: int
    """Wall time, milliseconds since 1970."""
    latitude: float
    longitude: float
    depth_km: float
    magnitude: float
    place: str
    tsunami: bool
    """Whether the source says that it may cause one."""


class Told(NamedTuple):
    """A document, read: what it says, and why each of its other entries is set aside."""

    quakes: tuple[Quake, ...]
    unfit: tuple[str, ...]


class UnfitDocument(Exception):
    """A document that is not as its feed's are; nothing of it counts."""


class UnfitEntry(Exception):
    """An entry that is not as documented; it is set aside alone."""


def decode(raw: bytes) -> Any:
    """The JSON of a document, with a mark of its encoding or without. Raises UnfitDocument."""
    try:
        return msgspec.json.decode(raw.removeprefix(BOM_UTF8))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise UnfitDocument(f"no JSON: {str(error)[:TEXT_AT_MOST]}") from None


def item(value: Any, key: str) -> Any:
    """What stands under a key. Raises UnfitEntry."""
    if not isinstance(value, dict) or key not in value:
        raise UnfitEntry(f"there is no {key}")
    return value[key]


def number(value: Any, what: str) -> float:
    """A number, also one written as text with a comma, within what it can be. Raises UnfitEntry."""
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        value = float(value.strip().replace(",", "."))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnfitEntry(f"the {what} is no number")
    least, most = BOUNDS[what]
    if not least <= value <= most:
        raise UnfitEntry(f"the {what} is not from {least:g} to {most:g}")
    return float(value)


def line(value: Any) -> str:
    """A text as one short line; empty where there is none."""
    return whole_line(value)[:TEXT_AT_MOST]


def whole_line(value: Any) -> str:
    """The same, however long it is: for what is read and not shown."""
    return CONTROLS.sub(" ", value).strip() if isinstance(value, str) else ""
