"""PostgreSQL's own programs: found, run as a user that they accept, and read."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from agents.engines.base import EngineBusy, EngineError
from agents.engines.pg_pulse import working
from agents.engines.pg_wal import parse_lsn
from agents.guard.engine import EngineLock
from agents.guard.wire import Refusal

SUPPORTED = range(15, 19)
TAIL_BYTES = 4000
READ_BYTES = 65536
LINE_AT_MOST_BYTES = 256 * 1024
"""pg_waldump writes out what a record holds: that may be a line of a gigabyte."""
END_LIMIT_S = 5

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class ToolFailed(EngineError):
    """A program ended with an error; `said` is the end of what it wrote."""

    def __init__(self, tool: str, code: int, said: str) -> None:
        super().__init__(f"{tool} ended with {code}: {said.strip()[-600:]}")
        self.said = said
        self.killed = code < 0
        """By a signal: it says nothing of what it worked on."""


class ControlData(Struct, frozen=True):
    """What stands in global/pg_control. `checkpoint_bytes` is where its record begins."""

    system_identifier: str
    timeline: int
    state: str
    checkpoint_bytes: int
    redo_bytes: int
    segment_bytes: int
    recovery_end_bytes: int
    backup_start_bytes: int = 0
    """Not 0 while a copy has not yet read all the log that makes it whole."""

    @property
    def clean(self) -> bool:
        return self.state in ("shut down", "shut down in recovery")


class Tools:
    """The programs of one PostgreSQL version, for one data directory."""

    def __init__(self, binaries: Path, data: Path) -> None:
        self.binaries = binaries
        self.data = data
        self._major = 0
        self._lock = EngineLock(f"{data}.copy", str(data))

    async def major(self) -> int:
        """The version, 15 to 18. EngineError for others, or where it cannot be run."""
        if not self._major:
            said = await self.run("postgres", "--version", timeout_s=10)
            found = re.search(r"\) (\d+)", said)
            major = int(found[1]) if found else 0
            if major not in SUPPORTED:
                raise EngineError(
                    f"{self.binaries}/postgres: {said.strip()!r} is not PostgreSQL 15 to 18;"
                    " set the directory of the binaries"
                )
            self._major = major
        return self._major

    async def run(
        self,
        tool: str,
        *arguments: str,
        timeout_s: float | None,
        stdin: bytes = b"",
        env: dict[str, str] | None = None,
        on_line: Callable[[str], None] | None = None,
        on_work: Callable[[], None] | None = None,
    ) -> str:
        """What it wrote, errors included. ToolFailed, or EngineBusy when time is up.

        `on_work` is called now and then while it works, though it writes nothing.
        """
        lock = self._take_lock()
        try:
            process = await self._spawn(tool, *arguments, lock=lock, env=env)
        finally:
            os.close(lock)
        try:
            async with asyncio.timeout(timeout_s), working(process.pid, on_work):
                said = await _read(process, stdin, on_line)
                code = await process.wait()
        except TimeoutError:
            raise EngineBusy(f"{tool}: not done in {timeout_s} s") from None
        finally:
            await self._end(process)
        if code != 0:
            raise ToolFailed(tool, code, said)
        return said

    def idle(self) -> bool:
        """No program started here, or by an agent before us, works on the data directory."""
        return self._lock.free()

    def need_idle(self) -> None:
        """EngineBusy while a program of an agent before us works there; it is ended."""
        os.close(self._take_lock())

    def _take_lock(self) -> int:
        """The program inherits it: one that outlived its agent is ended before the next runs."""
        self.data.parent.mkdir(parents=True, exist_ok=True)
        try:
            return self._lock.take()
        except Refusal as refusal:
            raise EngineBusy(f"{self.data}: {refusal}") from None

    async def control_data(self) -> ControlData:
        """Of the data directory, running or not. EngineError when it cannot be read."""
        return await self.control_data_of(self.data)

    async def control_data_of(self, data: Path) -> ControlData:
        process = await self._spawn("pg_controldata", "-D", str(data), lock=None)
        try:
            async with asyncio.timeout(10):
                said = await _read(process, b"", None)
                code = await process.wait()
        except TimeoutError:
            raise EngineBusy(f"{data}/global/pg_control: not read in 10 s") from None
        finally:
            await self._end(process)
        if code != 0 or "CRC" in said:
            raise EngineError(
                f"{data}/global/pg_control: cannot be read by PostgreSQL of {self.binaries}:"
                f" {said.strip()[:300]}; is it the right version?"
            )
        return _parse_control_data(said)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Also ends what it started: pg_basebackup and pg_rewind have children that go on."""
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        until = time.monotonic() + END_LIMIT_S
        while not self._lock.free() and time.monotonic() < until:
            await asyncio.to_thread(self._lock.kill_holders)
            await asyncio.sleep(0.005)
        await process.wait()

    async def _spawn(
        self, tool: str, *arguments: str, lock: int | None, env: dict[str, str] | None = None
    ) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                *as_engine_user(str(self.binaries / tool), *arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env={**ENVIRONMENT, **(env or {})},
                pass_fds=() if lock is None else (lock,),
            )
        except OSError as error:
            raise EngineError(
                f"{self.binaries / tool}: cannot be run ({error});"
                " set the directory of PostgreSQL's binaries"
            ) from None


async def _read(
    process: asyncio.subprocess.Process, stdin: bytes, on_line: Callable[[str], None] | None
) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(OSError):
        process.stdin.write(stdin)
        process.stdin.close()
    said, lines = b"", Lines()
    while chunk := await process.stdout.read(READ_BYTES):
        said = (said + chunk)[-16 * TAIL_BYTES :]
        if on_line:
            for line in lines.take(chunk):
                on_line(line)
            # What is there already is read without waiting, and much may come at once.
            await asyncio.sleep(0)
    if on_line and (last := lines.take(b"\n")):
        on_line(last[0])
    return said.decode(errors="replace")


class Lines:
    """Cuts what comes into lines. Of a very long one only the beginning is kept."""

    def __init__(self) -> None:
        self._part = b""

    def take(self, chunk: bytes) -> list[str]:
        """The lines that end in this chunk, without the empty ones."""
        # Progress overwrites its line: a carriage return ends one as well.
        first, *others = re.split(rb"[\r\n]+", chunk)
        if len(self._part) < LINE_AT_MOST_BYTES:
            self._part += first
        if not others:
            return []
        ended = [self._part, *others[:-1]]
        self._part = others[-1]
        return [line.decode(errors="replace") for line in ended if line]


def as_engine_user(*argv: str) -> tuple[str, ...]:
    """PostgreSQL refuses root: root becomes 1000 in a user namespace, as under the guard."""
    if os.geteuid() != 0:
        return argv
    return ("/usr/bin/unshare", "--user", "--map-user=1000", "--map-group=1000", "--", *argv)


def _parse_control_data(said: str) -> ControlData:
    fields = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
    value = {name: text.strip() for name, text in fields.items()}
    return ControlData(
        system_identifier=value["Database system identifier"],
        timeline=int(value["Latest checkpoint's TimeLineID"]),
        state=value["Database cluster state"],
        checkpoint_bytes=parse_lsn(value["Latest checkpoint location"]),
        redo_bytes=parse_lsn(value["Latest checkpoint's REDO location"]),
        segment_bytes=int(value["Bytes per WAL segment"]),
        recovery_end_bytes=parse_lsn(value["Minimum recovery ending location"]),
        backup_start_bytes=parse_lsn(value["Backup start location"]),
    )
