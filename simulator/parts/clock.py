"""A host's boot-time clock: it runs a little fast or slow, and starts anew with the host."""

from __future__ import annotations

MILLION = 1_000_000
RATE_MOST_PPM = 10_000
"""One percent each way: all that the windows of a lease allow for (rho)."""


class Clock:
    """Local milliseconds as a function of true milliseconds."""

    def __init__(self, rate_ppm: int, start_ms: int, booted_ms: int) -> None:
        self._rate_ppm = rate_ppm
        self._start_ms = start_ms
        self._booted_ms = booted_ms

    def restart(self, start_ms: int, true_ms: int) -> None:
        """The host booted just now, and the clock shows this."""
        self._start_ms, self._booted_ms = start_ms, true_ms

    def change_rate(self, rate_ppm: int, true_ms: int) -> None:
        """It goes on from what it shows, faster or slower."""
        self._start_ms, self._booted_ms = self.read_ms(true_ms), true_ms
        self._rate_ppm = rate_ppm

    def read_ms(self, true_ms: int) -> int:
        """What this clock shows at a true moment."""
        gone_ms = true_ms - self._booted_ms
        return self._start_ms + gone_ms + gone_ms * self._rate_ppm // MILLION

    def soonest_ms(self, local_ms: int, true_ms: int) -> int:
        """The soonest true moment at which it shows that much, however its rate changes from now.

        Now is `true_ms`. A promise that is counted so is never counted too long by a checker.
        """
        left_ms = max(0, local_ms - self.read_ms(true_ms))
        return true_ms + left_ms * MILLION // (MILLION + RATE_MOST_PPM)

    def true_ms(self, local_ms: int) -> int:
        """The first true moment at which this clock shows that much."""
        gone_ms = (local_ms - self._start_ms) * MILLION // (MILLION + self._rate_ppm)
        true_ms = self._booted_ms + gone_ms - 1
        while self.read_ms(true_ms) < local_ms:
            true_ms += 1
        return true_ms
