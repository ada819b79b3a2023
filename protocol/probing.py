"""How one agent asks another whether it is there: a GET over HTTPS with mutual TLS, a few bytes.

Nothing is decided by what is answered; that it is answered is what counts.
"""

from __future__ import annotations

from msgspec import Struct

from protocol.messages import Name, Natural

PROBE_PATH = "/saling/v1/probe"


class ProbeAnswer(Struct, frozen=True):
    """Who answered, and what its clocks show at that moment."""

    agent: Name
    wall_ms: Natural
    """Since 1970, as its host believes."""
    up_ms: Natural
    """Since its host started, suspend included."""
