"""What a kind of fault is: a verb that does it, and a way to draw it.

A drawing looks at the world and names concrete victims; doing it afterwards needs no dice of
fate. So what was drawn can be written down, shortened and done again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from simulator.strike import Strike

if TYPE_CHECKING:
    from simulator.fate import Fate
    from simulator.world import World


class Takes(Enum):
    """What may stand after a verb."""

    PLACE = "a site or hub"
    SITE = "a site"
    SERVICE = "a service"
    NUMBER = "a whole number"
    LEASE = "the name of lease times"
    PROTECTION = "sync or async"
    BACKUP_LOSS = "alone or block"
    AILMENT = "what a check says of a site"
    STAGE = "planned, active or suspended"


@dataclass(frozen=True)
class Verb:
    """A fault that can be done, with what it is done to."""

    name: str
    act: Callable[[World, Strike], None]
    takes: tuple[Takes, ...] = ()
    optional: tuple[Takes, ...] = ()
    """What may follow besides, wholly or not at all."""
    must_end: bool = False
    """Whether it must be given a time: what waits for its end is not woken by a healing."""


Draw = Callable[["Fate"], list[Strike]]
"""What fate decides at a moment: one strike, or a few that belong together."""
