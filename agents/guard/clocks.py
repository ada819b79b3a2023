"""What three clocks say together of a time in which nobody here ran, turn by turn.

The boot clock counts a suspend and the monotonic one does not: their difference grows by it. A
pause of the virtual machine may show in neither; then wall time is put forward when the host
notices. Wall time is trusted in this one direction only: it can make a lease shorter.
Standard library only, as all of the guard.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

SUSPEND_LEAST_MS = 10
JUMP_LEAST_MS = 250
REMEMBERED = 32
SAMPLES = 5
CLEAN_READING_MS = 1


class Reading(NamedTuple):
    """The clocks at one moment, in ms, as far as one can be read after the other."""

    boottime_ms: int
    monotonic_ms: int
    realtime_ms: int
    blur_ms: int = 0
    """How much time may have gone by between the first and the last of them."""


class Slip(NamedTuple):
    """What a turn found. `jump_ms`: how much earlier a deadline must come."""

    suspended_ms: int = 0
    jump_ms: int = 0


class Clocks:
    """Compares one turn of the guard's loop with the one before."""

    def __init__(self, read: Callable[[], Reading]) -> None:
        self._read = read
        self._last = read()
        self._jumps: list[tuple[int, int]] = []
        self.clear = True
        """Whether the last turn's reading was clear, so that no jump hides behind it."""

    def turn(self) -> Slip:
        """What happened since the last turn. A reading that was itself interrupted may hide it
        for one turn, as `blur_ms` says, and never invents it."""
        last, now = self._last, self._read()
        self.clear = now.blur_ms <= CLEAN_READING_MS + last.blur_ms
        if not self.clear:
            # Compared again with the same past: what it blurs is still there then.
            return Slip()
        self._last = now
        blur_ms = last.blur_ms + now.blur_ms
        slept_ms = _behind(now) - _behind(last)
        jump_ms = _ahead(now) - _ahead(last)
        suspended = slept_ms > SUSPEND_LEAST_MS + blur_ms
        jumped = jump_ms > JUMP_LEAST_MS + blur_ms
        if jumped:
            self._jumps = [*self._jumps, (now.boottime_ms, jump_ms)][-REMEMBERED:]
        return Slip(slept_ms if suspended else 0, jump_ms if jumped else 0)

    def jumped_since_ms(self, asked_ms: int) -> int:
        """How much of the time since a question was asked the boot clock may have missed."""
        return sum(jump_ms for at_ms, jump_ms in self._jumps if at_ms >= asked_ms)


def read_clocks() -> Reading:
    """The clearest of some readings."""
    best: Reading | None = None
    for _ in range(SAMPLES):
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        boottime = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        realtime = time.clock_gettime_ns(time.CLOCK_REALTIME)
        blur_ms = (time.clock_gettime_ns(time.CLOCK_MONOTONIC) - before) // 1_000_000
        sample = Reading(boottime // 1_000_000, before // 1_000_000, realtime // 1_000_000, blur_ms)
        if best is None or sample.blur_ms < best.blur_ms:
            best = sample
        if blur_ms == 0:
            break
    assert best is not None
    return best


def _behind(reading: Reading) -> int:
    return reading.boottime_ms - reading.monotonic_ms


def _ahead(reading: Reading) -> int:
    return reading.realtime_ms - reading.boottime_ms
