"""Runs one command of a site's own checks: bounded in time, output and rights.

It gets none of the agent's environment, files or ambient capabilities, and a session of its own.
However it ends, what is left of its process group is killed; what began a session of its own is
not found, and lives on without anything of ours. An agent that runs as root runs it as root.

The disk of a program may hang, so a thread starts it: the agent's loop waits for no disk.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from asyncio import Future
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO

from msgspec import Struct

from config.checks import Check, distrust
from config.problems import Refused

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
OUTPUT_AT_MOST_BYTES = 4096
LINE_AT_MOST = 200
START_LIMIT_S = 5.0
REAP_LIMIT_S = 2.0
NOT_RUN = (126, 127)
"""What shells and setpriv end with when a program is not there or may not be run."""
SETPRIV = "setpriv"

Process = subprocess.Popen[bytes]


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
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"check {check.kind}")
        self._starting: Future[Process | Refused] | None = None
        self._process: Process | None = None

    async def run(self) -> Outcome:
        """Run it once. Raises nothing for what the command does."""
        program, left = self._check.program, self._process
        if self._starting is not None:
            return Outcome(silent=f"{program}: its start still hangs, as its disk may")
        if left is not None and left.poll() is None:
            return Outcome(silent=f"process {left.pid} was killed, and hangs in the kernel")
        try:
            process = await self._start()
        except TimeoutError:
            return Outcome(silent=f"{program}: not started within {START_LIMIT_S:g} s, as if hung")
        except OSError as error:
            return Outcome(silent=f"{program}: {error.strerror or error}")
        if isinstance(process, Refused):
            return Outcome(silent=f"{process.message}; {process.mend}")
        self._process = process
        output = await _output(process, self._check.timeout_ms / 1000)
        if output is None:
            return Outcome(silent=f"still running after {self._check.timeout_ms} ms, and killed")
        return judged(process.wait(), output)

    def close(self) -> None:
        """No more runs. A start that hangs holds up nobody's end."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _start(self) -> Process | Refused:
        """Raises OSError, TimeoutError."""
        loop = asyncio.get_running_loop()
        self._starting = starting = loop.run_in_executor(self._thread, _started, self._check)
        try:
            await asyncio.wait({starting}, timeout=START_LIMIT_S)
        except asyncio.CancelledError:
            starting.add_done_callback(self._end_late_start)
            raise
        if not starting.done():
            starting.add_done_callback(self._end_late_start)
            raise TimeoutError
        self._starting = None
        return starting.result()

    def _end_late_start(self, starting: Future[Process | Refused]) -> None:
        """Nobody waits for it any more."""
        self._starting = None
        if starting.cancelled() or starting.exception() is not None:
            return
        late = starting.result()
        if not isinstance(late, Refused):
            self._process = late
            _kill_group(late)
            _stdout(late).close()


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


def _started(check: Check) -> Process | Refused:
    """Begin it, unless others could have changed what it is. Raises OSError."""
    if refused := distrust(check.program):
        return refused
    process = subprocess.Popen(
        (*_without_capabilities(), *check.command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        env=ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    )
    os.set_blocking(_stdout(process).fileno(), False)
    return process


async def _output(process: Process, limit_s: float) -> bytes | None:
    """The beginning of what it says until it ends; None when it does not end in time.

    Its end counts, not that of its output: what it left behind may hold that open for ever.
    """
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    said, watched = Said(_stdout(process)), os.pidfd_open(process.pid)
    loop.add_reader(watched, ended.set)
    loop.add_reader(said.file, said.read)
    try:
        async with asyncio.timeout(limit_s):
            await ended.wait()
        said.read_rest()
        return said.begin
    except TimeoutError:
        return None
    finally:
        loop.remove_reader(said.file)
        said.file.close()
        # Before it is reaped: until then no other process can have its number.
        _kill_group(process)
        await _reap(process, ended)
        loop.remove_reader(watched)
        os.close(watched)


class Said:
    """What a command printed so far: the beginning of it. The rest is read, so that it blocks
    nobody, and dropped.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.begin = b""

    def read(self) -> bool:
        """Read once, without waiting; whether there may be more."""
        try:
            chunk = os.read(self.file.fileno(), OUTPUT_AT_MOST_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            asyncio.get_running_loop().remove_reader(self.file)
        self.begin += chunk[: OUTPUT_AT_MOST_BYTES - len(self.begin)]
        return bool(chunk)

    def read_rest(self) -> None:
        """What stands in the pipe already, as far as it is wanted."""
        while len(self.begin) < OUTPUT_AT_MOST_BYTES and self.read():
            pass


def _stdout(process: Process) -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


def _kill_group(process: Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


async def _reap(process: Process, ended: asyncio.Event) -> None:
    """One that hangs in the kernel is left to itself: nothing here waits for it for ever."""
    with suppress(TimeoutError):
        async with asyncio.timeout(REAP_LIMIT_S):
            await ended.wait()
    process.poll()


def _without_capabilities() -> list[str]:
    """What an agent may do with the kernel's rules, no check shall. Raises OSError.

    Root needs no ambient ones, and without any it could still write all of root's files: so
    nothing is taken from it.
    """
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
