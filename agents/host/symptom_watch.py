"""What the agent itself watches at its host: its certificate, its clock, how long commits take."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from cryptography import x509

from agents.core.commits import CommitTimes
from agents.core.paths import clock_off
from agents.core.symptoms import Board, Rule
from agents.network.prober import Prober
from config.agent import Symptoms

LOOK_EVERY_S = 5.0
SECONDS_A_DAY = 24 * 60 * 60
EXPIRES_SOON_S = 14 * SECONDS_A_DAY
AT_ONCE = Rule(on_after_ms=0, off_after_ms=0)
CLOCK = Rule(on_after_ms=30_000, off_after_ms=60_000)
LATENCY = Rule(on_after_ms=20_000, off_after_ms=60_000)

Commits = Callable[[], Iterable[tuple[str, CommitTimes]]]


class SymptomWatch:
    """One task of the agent."""

    def __init__(
        self,
        config: Symptoms,
        certificate: Certificate,
        commits: Commits,
        prober: Prober,
        board: Board,
        clock: Callable[[], int],
    ) -> None:
        """`commits` gives what is known of each service's; `clock` is the boot-time one."""
        self._config = config
        self._certificate = certificate
        self._commits = commits
        self._prober = prober
        self._board = board
        self._clock = clock

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            # The file is read anew, and a disk that hangs must hold up no renewal.
            expires = await asyncio.to_thread(self._certificate.expires_soon, time.time())
            self._look(expires, self._clock())
            await asyncio.sleep(LOOK_EVERY_S)

    def _look(self, expires: str, now_ms: int) -> None:
        look, config = self._board.look, self._config
        look("certificate", "certificate", expires, now_ms, AT_ONCE)
        aheads_ms = self._prober.clocks_ahead_ms(now_ms)
        off = clock_off(aheads_ms, self._prober.count, config.clock_off_ms)
        look("clock", "clock", off, now_ms, CLOCK)
        for service, times in self._commits():
            slow = times.slow(service, config.slow_commit_ms, now_ms)
            look(f"latency: {service}", "latency", slow, now_ms, LATENCY)


class Certificate:
    """The agent's own, as it was read when the agent began: a new file is not in use yet."""

    def __init__(self, file: Path) -> None:
        """Raises OSError, ValueError."""
        self._file = file
        self._end_s = _end_s(file)

    def expires_soon(self, now_s: float) -> str:
        """How long it is still good, if that is not long; empty else. By the wall clock."""
        left_s = self._end_s - now_s
        if left_s >= EXPIRES_SOON_S:
            return ""
        end = datetime.datetime.fromtimestamp(self._end_s, datetime.UTC)
        how = "expires" if left_s > 0 else "expired"
        text = f"{self._file}: {how} on {end:%Y-%m-%d %H:%M} UTC"
        if self._is_renewed():
            return f"{text}; the file holds a later one, so restart the agent"
        return f"{text}: let the authority sign a new one, and restart the agent"

    def _is_renewed(self) -> bool:
        try:
            return _end_s(self._file) > self._end_s
        except (OSError, ValueError):
            return False


def _end_s(file: Path) -> float:
    return x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc.timestamp()
