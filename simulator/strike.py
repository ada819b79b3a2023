"""One fault at one moment, as data: what a seed draws, a scenario writes down, a shrink removes."""

from __future__ import annotations

from msgspec import Struct

FOR_EVER_MS = 1 << 50
RELOAD = "reload-"
"""How the verbs begin by which a controller that leads reads its configuration anew."""


class Strike(Struct, frozen=True):
    """At a moment (true ms), a fault upon these, for a while."""

    at_ms: int
    verb: str
    on: tuple[str, ...] = ()
    for_ms: int = 0
    """0: until all faults are healed; or it is over at once, as a kill is."""

    @property
    def until_ms(self) -> int:
        """When it is over."""
        return self.at_ms + self.for_ms if self.for_ms else FOR_EVER_MS

    @property
    def lasts_ms(self) -> int:
        """How long it lasts."""
        return self.until_ms - self.at_ms

    def __str__(self) -> str:
        lasts = (f"for {seconds(self.for_ms)}",) if self.for_ms else ()
        return " ".join((self.verb, *self.on, *lasts))


def seconds(ms: int) -> str:
    """A time as a scenario writes it: 3s, 0.25s."""
    return f"{ms / 1000:.3f}".rstrip("0").rstrip(".") + "s"
