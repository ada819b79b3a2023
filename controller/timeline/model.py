"""A timeline: what happened, when, who or what decided it, and the sentence why."""

from __future__ import annotations

from msgspec import Struct

from config.zones import TimeZone

CONTROLLER = "the controller"
"""Who decided where nobody asked."""

UNDER_WAY = "under way"


class Place(Struct, frozen=True):
    """One site, and by whose clock its people live."""

    id: str
    name: str
    zone: TimeZone


class Entry(Struct, frozen=True):
    """One thing that happened."""

    at_ms: int
    """Wall time, milliseconds since 1970."""
    about: str
    """`service`, `site`, `link`, `plan`, `caution`, `controller`, `configuration`."""
    subject: str
    """Name of the service, the site, the link, the plan or the file."""
    change: str
    """`PROTECTED -> COUNTDOWN`, `begins`."""
    because: str
    by: str
    """The person who asked for this very change, else the controller."""
    reason: str = ""
    """What that person said."""
    sites: tuple[str, ...] = ()
    """Where: of a service its primary's site, then its backup's."""
    operation: str = ""
    plan: str = ""
    from_phase: str = ""
    to_phase: str = ""
    epoch: int = 0
    outage_ms: int = -1
    loss_bytes: int = -1
    number: int = 0
    """Of the line in its history, for things of one moment."""


class Move(Struct, frozen=True):
    """One operation as a whole."""

    id: str
    kind: str
    service: str
    by: str
    reason: str
    from_site: str
    to_site: str
    begun_at_ms: int
    ended_at_ms: int = -1
    """-1 while it is under way."""
    outcome: str = UNDER_WAY
    """`done`, `given up` or `under way`."""
    outage_ms: int = -1
    loss_bytes: int = -1
    """As estimated."""
    plan: str = ""


class Timeline(Struct, frozen=True):
    """What was asked for, the oldest first."""

    cluster: str
    made_at_ms: int
    choice: str
    """What it is of, in words."""
    places: tuple[Place, ...]
    moves: tuple[Move, ...]
    entries: tuple[Entry, ...]
    left_out: bool = False
    """There may be more than was looked at, or than was asked for."""
