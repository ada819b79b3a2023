"""What a layer of the fence is: something that ends the right to write when the lease does.

Layers are stacked: each holds by itself when those inside it cannot act any more. The guard
alone drives them (`agents.guard.fences`), from a thread of its own, for a kernel may let them
wait. Standard library only, as all of the guard. Every call may be repeated.

Errors: `FenceError`, the layer does not hold; it names the mend.
"""

from __future__ import annotations

import time
from typing import NamedTuple, Protocol

CLOSED, ARMED, OPEN, MISSING = "closed", "armed", "open", "missing"
"""How a layer stands: shut; open until the deadline; open without one; it does not hold."""


class FenceError(Exception):
    """A layer does not hold. The text says why, `mend` what makes it hold."""

    def __init__(self, text: str, mend: str) -> None:
        super().__init__(text)
        self.mend = mend


class Health(NamedTuple):
    """What a trial of a layer found; nothing to mend where `mend` is empty."""

    holds: bool
    text: str
    mend: str = ""


class Layer(Protocol):
    """One layer. Times are CLOCK_BOOTTIME milliseconds."""

    name: str
    state: str
    note: str
    """What is worth knowing of it while it holds; empty when nothing is."""
    least_ttl_ms: int
    """Leases shorter than this are too short for it; 0 when none is."""

    @property
    def identity(self) -> str:
        """Layers of the same one are the same door or the same device."""

    def after(self, other: Layer | None) -> Layer:
        """The one that goes on in place of `other`, which has the same identity."""

    def begin(self) -> None:
        """A guard begins, without an engine: what a dead one left shut stays so until `open`
        finds that nothing of its engine is left; what nobody shut is not touched."""

    def arm(self, deadline_ms: int, end_ms: int) -> None:
        """Let it be writable until the deadline, at which the fence begins, and no longer.

        By `end_ms` the lease is over. What acts without hitting the engine's process acts at
        the deadline; what ends the host may leave the guard the time between the two.
        """

    def open(self, alone: bool) -> None:
        """No deadline: the primary stands alone, or nothing that may write runs."""

    def close(self) -> None:
        """Nothing may be acknowledged any more, though an engine may still run."""

    def tick(self) -> None:
        """A little time went by: what must be repeated is repeated."""

    def remove(self) -> None:
        """No engine runs: leave nothing behind, or raise FenceError with what and why."""

    def check(self) -> Health:
        """Try it for real, beside whatever is in force."""


def boottime_ms() -> int:
    """Milliseconds since the host started, suspend included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
