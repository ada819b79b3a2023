"""Scripted doubles of an engine and of a guard."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

from agents.core.observation import Observation, Probe, ProbeKind
from agents.guard.client import (
    EngineExit,
    GuardBusy,
    GuardGone,
    GuardStatus,
    LayerStatus,
    RunningEngine,
)
from protocol.messages import Role


class FakeEngine:
    """Does what the test says; records the order."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.error: Exception | None = None
        self.seen = Observation(role=Role.STANDBY, streaming=True)
        self.looking = asyncio.Event()
        self.may_look = asyncio.Event()
        self.may_look.set()
        self.probe_takes = asyncio.Event()
        self.probe_takes.set()

    async def _do(self, what: str) -> None:
        self.did.append(what)
        if self.error:
            raise self.error

    async def observe(self) -> Observation:
        self.looking.set()
        await self.may_look.wait()
        if self.error:
            raise self.error
        return self.seen

    async def probe(self, timeout_ms: int) -> Probe:
        await self.probe_takes.wait()
        if self.error:
            raise self.error
        return Probe(ProbeKind.COMMITTED, 42)

    async def set_sync(self, name: str | None) -> None:
        await self._do(f"sync {name}")

    async def promote(self, timeout_ms: int) -> None:
        await self._do("promote")

    async def stop(self, timeout_ms: int) -> None:
        await self._do("stop")

    async def kill(self) -> int:
        self.did.append("kill")
        return 0

    async def end_processes(self) -> int:
        self.did.append("end_processes")
        return 0

    async def ensure_slot(self, name: str) -> None:
        await self._do(f"slot {name}")

    async def rejoin(self, upstream: Any, on_progress: Any, turn: Any) -> None:
        await self._do(f"rejoin {upstream.address} {upstream.slot} {upstream.application_name}")

    async def drain(self, timeout_ms: int) -> int:
        await self._do(f"drain {timeout_ms}")
        return 77


class FakeGuard:
    """A guard whose process is a real sleeping one."""

    def __init__(self, pid: int) -> None:
        self.pid = self._first_pid = pid
        self.engine: RunningEngine | None = RunningEngine(4711, True, "")
        self.permission = "leased"
        self.gone = self.busy = False
        self.closes = 0
        self.takes_leases = False
        self.leases: list[int] = []
        self.may_be_told = asyncio.Event()
        self.may_be_told.set()
        self.tell: Callable[[Any], None] = lambda _: None

    def add_listener(self, listener: Callable[[Any], None]) -> None:
        self.tell = listener

    async def status(self, timeout_ms: int = 1) -> GuardStatus:
        if self.gone:
            raise GuardGone("none")
        if self.busy:
            raise GuardBusy("no answer")
        last = EngineExit(137, 5, "exited")
        return GuardStatus(
            self.pid, "", "plain", True, True, self.permission, 9000, 1000, self.engine, last, None
        )

    async def ensure_running(self) -> GuardStatus:
        self.gone, self.permission, self.engine = False, "closed", None
        self.pid = os.getpid()
        return await self.status()

    async def fences(self, timeout_ms: int = 1, **_: object) -> tuple[LayerStatus, ...]:
        await self.may_be_told.wait()
        return ()

    async def lease(self, deadline_ms: int, timeout_ms: int = 1, **more: int) -> int:
        if not self.takes_leases:
            raise GuardBusy("no answer")
        self.leases.append(deadline_ms)
        return deadline_ms

    async def alone(self) -> None:
        raise GuardGone("none")

    def end(self) -> None:
        os.kill(self._first_pid, signal.SIGKILL)

    async def close_permission(self, timeout_ms: int = 1) -> int:
        self.closes += 1
        if self.gone:
            raise GuardGone("none")
        if self.busy:
            raise GuardBusy("no answer")
        return 1
