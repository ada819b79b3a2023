"""A scenario as data: its story, its world, what happens when, and what must come of it."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from controller.core.events import Kind
from simulator.setting import Setting
from simulator.strike import RELOAD, Strike

REQUESTS = (
    *(verb for kind in Kind for verb in (kind.value, f"try-{kind.value}")),
    "approve-too",
    "force-proof-alone",
    *(f"{RELOAD}{what}" for what in ("lease", "protection", "backup-loss", "loss-bound")),
    *(f"{RELOAD}{what}" for what in ("stage", "leave", "join")),
)
"""The verbs that are an operator's wish, not a fault. Each gets an answer."""


class Want(StrEnum):
    """What kind of thing is expected."""

    REACHES = "reaches"
    """A service comes to a state, by a moment."""
    STAYS = "stays"
    """A service stays in a state, until a moment."""
    LOSES = "loses"
    """No service, or not this one, loses more than so many acknowledged bytes."""
    FENCES_NOBODY = "fences nobody"
    FENCES_FOR_NOTHING = "fences nobody for nothing"
    """Only at a site that was struck itself, once the service was PROTECTED."""
    ACCEPTED = "accepted"
    REFUSED = "refused"


class Aim(Struct, frozen=True):
    """A state of a service; what is None does not matter."""

    phase: str | None = None
    primary: str | None = None
    writer: str | None = None
    """The site whose copy alone is writable; empty: no copy is."""


class Expectation(Struct, frozen=True):
    """What must be or become true. Times are true milliseconds."""

    want: Want
    text: str
    """As it is written, without `expect`."""
    line: int = 0
    from_ms: int = 0
    """The time of the `at` above it; it counts from then on."""
    until_ms: int = 0
    """Reaches: by then; stays: until then."""
    service: str = ""
    """Empty: every service."""
    aim: Aim = Aim()
    words: str = ""
    """What the sentence of the decision, or the answer, must hold."""
    most_bytes: int = 0
    request: str = ""
    """The request whose answer it is."""


class Scenario(Struct, frozen=True):
    """All of it. Strikes are in the order of their time."""

    name: str
    """The file it came from, for errors."""
    story: str
    """The lines of the comment at its top."""
    seed: int
    setting: Setting
    strikes: tuple[Strike, ...] = ()
    heals_ms: tuple[int, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    end_ms: int = 0

    @property
    def must_end_well(self) -> bool:
        """Whether nothing happens after the last heal, so that all must become well again."""
        last_ms = max((strike.at_ms for strike in self.strikes), default=0)
        return bool(self.heals_ms) and last_ms <= self.heals_ms[-1]
