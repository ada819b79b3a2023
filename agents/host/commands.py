"""Runs one command of a site's own checks: bounded in time, output and rights.

It gets none of the agent's environment, files or capabilities, and a process group of its own,
which is killed when the time is over.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from config.checks import Check, distrust

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
OUTPUT_AT_MOST_BYTES = 4096
LINE_AT_MOST = 200
REAP_LIMIT_S = 2.0
NOT_RUN = (126, 127)
"""What shells and setpriv end with when a program is not there or may not be run."""
SETPRIV = "setpriv"


class Outcome(Struct, frozen=True):
    """What a check said. At most one of both is not empty."""

    found: str = ""
    """What is not well."""
    silent: str = ""
    """Why it said nothing: neither that all is well nor that something is not."""


class Command:
    """The command of one check, which runs once at a time."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> Outcome:
        """Run it once. Raises nothing for what the command does."""
        left = self._process
        if left is not None and left.returncode is None:
            return Outcome(silent=f"process {left.pid} was killed, and hangs in the kernel")
        if refused := distrust(self._check.program):
            return Outcome(silent=f"{refused.message}; {refused.mend}")
        try:
            self._process = process = await self._start()
        except OSError as error:
            return Outcome(silent=f"{self._check.program}: {error.strerror or error}")
        is_over = False
        try:
            async with asyncio.timeout(self._check.timeout_ms / 1000):
                output = await _first_bytes(process)
                status = await process.wait()
                is_over = True
        except TimeoutError:
            return Outcome(silent=f"still running after {self._check.timeout_ms} ms, and killed")
        finally:
            if not is_over:
                await _kill(process)
        return judged(status, output)

    async def _start(self) -> asyncio.subprocess.Process:
        """Raises OSError."""
        return await asyncio.create_subprocess_exec(
            *(*_without_capabilities(), *self._check.command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )


def judged(status: int, output: bytes) -> Outcome:
    """What an exit status and an output come to."""
    line = first_line(output)
    if status == 0:
        return Outcome()
    if status < 0 or status in NOT_RUN:
        how = f"ended by signal {-status}" if status < 0 else f"exit status {status}"
        return Outcome(silent=f"{how}: {line}" if line else how)
    return Outcome(found=line or f"exit status {status}, and not a word")


def first_line(output: bytes) -> str:
    """The first line that is not blank, without control characters."""
    for line in output.decode(errors="replace").splitlines():
        plain = "".join(letter for letter in line if letter.isprintable()).strip()
        if plain:
            return plain[:LINE_AT_MOST]
    return ""


async def _first_bytes(process: asyncio.subprocess.Process) -> bytes:
    """The beginning of the output; the rest is read, so that it blocks nobody, and dropped."""
    assert process.stdout is not None
    begin = b""
    while chunk := await process.stdout.read(OUTPUT_AT_MOST_BYTES):
        begin += chunk[: OUTPUT_AT_MOST_BYTES - len(begin)]
    return begin


async def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    # One that hangs in the kernel is left to itself: nothing here waits for it for ever.
    with suppress(TimeoutError):
        async with asyncio.timeout(REAP_LIMIT_S):
            await process.wait()


def _without_capabilities() -> list[str]:
    """What an agent may do with the kernel's rules, no check shall. Raises OSError."""
    if not _has_ambient_capabilities():
        return []
    found = shutil.which(SETPRIV, path=ENVIRONMENT["PATH"])
    if found is None:
        raise OSError(f"{SETPRIV} is needed to take the agent's capabilities away: util-linux")
    return [found, "--ambient-caps", "-all", "--inh-caps", "-all", "--"]


def _has_ambient_capabilities() -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapAmb":
            return int(value, 16) != 0
    return False
