"""The agent's side of the guard: starts it when none lives, asks it, hears its events.

Errors: `GuardRefused` (the guard's state forbids it, or the request is wrong), `GuardBusy` (try
again), `GuardGone` (no guard is reachable: with PID namespaces its engine is gone too).
Times are CLOCK_BOOTTIME milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from agents.guard.engine import has_open

GUARD = Path(__file__).with_name("guard.py")
SOCKET_PATH_LIMIT = 107
LINE_LIMIT_BYTES = 256 * 1024


class GuardError(Exception):
    """Something between the agent and its guard failed."""


class GuardRefused(GuardError):
    """The guard answered no: repeating the request does not help."""


class GuardBusy(GuardError):
    """The guard cannot do it yet: repeat the request."""


class GuardGone(GuardError):
    """No guard answers on the socket."""


class RunningEngine(msgspec.Struct, frozen=True):
    """`pid` as the host counts; `writable` as the guard believes; `dying`: why, or empty."""

    pid: int
    writable: bool
    dying: str


class EngineExit(msgspec.Struct, frozen=True):
    """`reason`: exited (by itself or as told), killed, closed, deadline. Status as a shell's."""

    status: int
    kill_ms: int
    reason: str


class Fence(msgspec.Struct, frozen=True):
    """The deadline passed and the engine was killed, `late_ms` after it, within `kill_ms`."""

    deadline_ms: int
    late_ms: int
    kill_ms: int


class LayerStatus(msgspec.Struct, frozen=True):
    """`state`: armed, open, closed or missing. `why`: what it lacks, or what is worth knowing."""

    name: str
    state: str
    required: bool = False
    why: str = ""
    mend: str = ""
    least_ttl_ms: int = 0


class GuardStatus(msgspec.Struct, frozen=True):
    """`isolation`: namespace or plain. `permission`: closed, leased or alone."""

    pid: int
    data: str
    isolation: str
    locked_memory: bool
    realtime: bool
    permission: str
    deadline_ms: int | None
    now_ms: int
    engine: RunningEngine | None
    last_exit: EngineExit | None
    last_fence: Fence | None
    layers: tuple[LayerStatus, ...] = ()


GuardEvent = EngineExit | Fence
Listener = Callable[[GuardEvent], None]


def now_ms() -> int:
    """The guard's clock: milliseconds since the host started, suspend included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class GuardClient:
    """One connection to one guard, made when needed and again when it broke."""

    def __init__(self, run_directory: Path, data_directory: Path, isolation: str = "auto") -> None:
        self._run = run_directory
        self._data = data_directory
        self._isolation = isolation
        self._socket = run_directory / "guard.sock"
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self._exits = 0
        self._exited = asyncio.Condition()
        self._listeners: list[Listener] = []
        if len(str(self._socket)) > SOCKET_PATH_LIMIT:
            raise GuardRefused(
                f"{self._socket}: over {SOCKET_PATH_LIMIT} bytes, too long for a Unix socket:"
                " choose a shorter run directory"
            )

    def add_listener(self, listener: Listener) -> None:
        """Called at every event while connected; `status` tells what was missed."""
        self._listeners.append(listener)

    async def ensure_running(self, timeout_ms: int = 5000) -> GuardStatus:
        """Start a guard unless one answers. It outlives this process."""
        with contextlib.suppress(GuardGone):
            return await self.status(timeout_ms)
        arguments = ["--run", str(self._run), "--data", str(self._data)]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(GUARD), *arguments, "--isolation", self._isolation),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                _, said = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise GuardGone(f"{self._run}: the guard did not start in {timeout_ms} ms") from None
        if process.returncode != 0:
            raise GuardGone(f"{self._run}: the guard did not start: {said.decode().strip()[-500:]}")
        return await self.status(timeout_ms)

    async def status(self, timeout_ms: int = 1000) -> GuardStatus:
        answer = await self._ask("status", timeout_ms)
        return msgspec.json.decode(answer, type=GuardStatus)

    async def start(self, argv: list[str], env: dict[str, str], log: Path, as_primary: bool) -> int:
        """Run the engine in the data directory; returns the pid of its first process."""
        fields = {"argv": argv, "env": env, "log": str(log), "as_primary": as_primary}
        return int(msgspec.json.decode(await self._ask("start", 5000, **fields))["pid"])

    async def fences(self, timeout_ms: int = 3000, **wanted: object) -> tuple[LayerStatus, ...]:
        """The layers outside the guard: the fields of its request `fences`; how they stand."""
        answer = msgspec.json.decode(await self._ask("fences", timeout_ms, **wanted))
        return msgspec.convert(answer["layers"], tuple[LayerStatus, ...])

    async def lease(self, deadline_ms: int, timeout_ms: int = 1000, **more: int) -> int:
        """Writable until then. Returns the deadline in force, which never goes back.

        `more`: end_ms, asked_ms, ttl_ms of the lease, for what stands outside the guard.
        """
        answer = await self._ask("lease", timeout_ms, deadline_ms=deadline_ms, **more)
        return int(msgspec.json.decode(answer)["deadline_ms"])

    async def alone(self, timeout_ms: int = 1000) -> None:
        """Writable without a deadline."""
        await self._ask("alone", timeout_ms)

    async def close_permission(self, timeout_ms: int = 10_000) -> int:
        """Not writable any more; returns the ms it took to end an engine that may be writing."""
        return int(msgspec.json.decode(await self._ask("close", timeout_ms))["kill_ms"])

    async def allow_promotion(self, timeout_ms: int = 1000) -> None:
        """The running standby counts as writable from now on."""
        await self._ask("allow_promotion", timeout_ms)

    async def signal(self, name: str, timeout_ms: int = 1000) -> None:
        """SIGINT, SIGTERM, SIGHUP or SIGUSR1 to the engine's first process."""
        await self._ask("signal", timeout_ms, name=name)

    async def kill(self, timeout_ms: int = 10_000) -> int:
        """Returns when no process of the engine is left: the ms that took."""
        return int(msgspec.json.decode(await self._ask("kill", timeout_ms))["kill_ms"])

    def end(self) -> None:
        """SIGKILL to the guard that holds this run directory, whoever started it; none is fine.

        Its engine goes with it, if the kernel may have namespaces.
        """
        lock = self._run / "guard.lock"
        with contextlib.suppress(OSError, ValueError):
            descriptor = os.pidfd_open(pid := int(lock.read_text()))
            try:
                # The text may be older than the lock, and its number somebody else's by now.
                if has_open(Path(f"/proc/{pid}"), lock.stat()):
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            finally:
                os.close(descriptor)

    async def shutdown(self, timeout_ms: int = 1000) -> None:
        """End the guard. Refused while an engine runs."""
        await self._ask("shutdown", timeout_ms)

    async def wait_engine_gone(self, timeout_ms: int) -> EngineExit | None:
        """The engine's last exit once none runs, None if none ever ran; TimeoutError else."""
        async with asyncio.timeout(timeout_ms / 1000):
            while True:
                exits = self._exits
                status = await self.status()
                if status.engine is None:
                    return status.last_exit
                # An event is lost with its connection: look again by ourselves now and then.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.2), self._exited:
                        while self._exits == exits:
                            await self._exited.wait()

    async def close(self) -> None:
        """Let go of the connection; guard and engine stay as they are."""
        if self._reader:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        self._reader = None

    async def _ask(self, request: str, timeout_ms: int, **fields: Any) -> bytes:
        """Every request may be repeated: a connection to a guard that ended is made anew."""
        had_connection = self._reader is not None
        try:
            return await self._ask_once(request, timeout_ms, **fields)
        except GuardGone:
            if not had_connection:
                raise
            return await self._ask_once(request, timeout_ms, **fields)

    async def _ask_once(self, request: str, timeout_ms: int, **fields: Any) -> bytes:
        number = next(self._ids)
        line = msgspec.json.encode({"id": number, "request": request, **fields}) + b"\n"
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                writer = await self._connected()
                self._waiting[number] = answered
                writer.write(line)
                answer = await answered
        except TimeoutError:
            raise GuardBusy(f"{self._socket}: no answer to {request} in {timeout_ms} ms") from None
        finally:
            self._waiting.pop(number, None)
        return _accepted(answer)

    async def _connected(self) -> asyncio.StreamWriter:
        async with self._connecting:
            if self._writer and self._reader and not self._reader.done():
                return self._writer
            try:
                reader, self._writer = await asyncio.open_unix_connection(
                    self._socket, limit=LINE_LIMIT_BYTES
                )
            except OSError as error:
                raise GuardGone(f"{self._socket}: no guard answers ({error})") from None
            self._reader = asyncio.create_task(self._read(reader, self._writer))
            return self._writer

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                await self._take(line)
        except (OSError, ValueError):
            pass
        finally:
            writer.close()
            for answered in self._waiting.values():
                if not answered.done():
                    answered.set_exception(GuardGone(f"{self._socket}: the guard went away"))

    async def _take(self, line: bytes) -> None:
        message = msgspec.json.decode(line)
        answered = self._waiting.get(message.get("id"))
        if answered and not answered.done():
            answered.set_result(line)
        kinds: dict[str, type[GuardEvent]] = {"engine_exited": EngineExit, "fenced": Fence}
        if (kind := kinds.get(message.get("event"))) is None:
            return
        event = msgspec.convert(message, kind)
        async with self._exited:
            self._exits += 1
            self._exited.notify_all()
        for listener in self._listeners:
            listener(event)


def _accepted(answer: bytes) -> bytes:
    said = msgspec.json.decode(answer)
    if said["ok"]:
        return answer
    raise (GuardBusy if said["code"] == "busy" else GuardRefused)(said["error"])


async def patiently(act: Callable[[], Awaitable[int]], timeout_ms: int) -> int:
    """Repeat what the guard answers with `GuardBusy`, every 10 ms."""
    until_ms = now_ms() + timeout_ms
    while True:
        try:
            return await act()
        except GuardBusy:
            if now_ms() > until_ms:
                raise
            await asyncio.sleep(0.01)
