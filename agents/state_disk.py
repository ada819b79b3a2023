"""Finds out whether the state directory can be written before a promise has to stand there.

A backup that cannot write its promises cannot stop granting either, so nobody could take over.
The test is a file of its own in a thread of its own: a disk that hangs must hold up no lease.
"""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from agents.durable import write_flushed
from agents.metrics import Metrics

TRY_EVERY_S = 5.0
LIMIT_S = 5.0
PROBE_FILE = "writable.probe"
PROBE_BYTES = 16 * 1024
"""More than any state file of a service takes."""

log = structlog.get_logger("state_disk")


class StateDisk:
    """The state directory of one agent. `run` it once."""

    def __init__(self, directory: Path, metrics: Metrics) -> None:
        self._probe = directory / PROBE_FILE
        self._metrics = metrics
        self.problem = ""
        """Why nothing can be written; empty while it can."""

    async def run(self) -> None:
        """Try, until cancelled."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="state disk")
        try:
            while True:
                await self._try(thread)
                await asyncio.sleep(TRY_EVERY_S)
        finally:
            # A disk that hangs must not hold up our end.
            thread.shutdown(wait=False)

    async def _try(self, thread: ThreadPoolExecutor) -> None:
        """One write at a time: the next one waits for a disk that hangs, too."""
        writing = asyncio.get_running_loop().run_in_executor(thread, self._write)
        done, _ = await asyncio.wait({writing}, timeout=LIMIT_S)
        if not done:
            self._say(f"{self._probe.parent}: a write has not come back for {LIMIT_S:.0f} s")
        try:
            await writing
        except OSError as error:
            self._say(f"{self._probe.parent}: {error.strerror or error}")
        else:
            self._say("")

    def _write(self) -> None:
        try:
            write_flushed(self._probe, bytes(PROBE_BYTES))
        finally:
            with contextlib.suppress(OSError):
                self._probe.unlink(missing_ok=True)

    def _say(self, problem: str) -> None:
        if problem and not self.problem:
            log.error("the state directory cannot be written: free or mend it", error=problem)
        if self.problem and not problem:
            log.info("the state directory can be written again", directory=str(self._probe.parent))
        self.problem = problem
        self._metrics.state_directory_ok.set(not problem)
