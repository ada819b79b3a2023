"""Keeps a guard beside one replica and tells the rules what it says.

The agent and its guard watch each other: the guard fences an engine whose agent does not
extend the lease, and the agent ends a guard that no longer answers, and with it the engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from agents.core.events import EngineExited, Event, GuardState
from agents.core.model import Permit
from agents.engines.base import Engine, EngineError
from agents.guard_client import (
    EngineExit,
    Fence,
    GuardBusy,
    GuardError,
    GuardEvent,
    GuardGone,
    GuardRefused,
    GuardStatus,
    now_ms,
)
from agents.jobs import Fresh
from agents.metrics import Metrics

CLOSE_LIMIT_MS = 2000
CLOSE_PAUSE_S = 0.02
LOOK_EVERY_S = 0.5
RETRY_S = 0.5

log = structlog.get_logger("guard")


class Guard(Protocol):
    """What is asked of a guard; `agents.guard_client.GuardClient` is one."""

    def add_listener(self, listener: Callable[[GuardEvent], None]) -> None: ...

    async def ensure_running(self) -> GuardStatus: ...

    async def status(self) -> GuardStatus: ...

    async def lease(self, deadline_ms: int) -> int: ...

    async def alone(self) -> None: ...

    async def close_permission(self, timeout_ms: int = 10_000) -> int: ...

    async def kill(self, timeout_ms: int = 10_000) -> int: ...


class Keeper:
    """The guard of one replica, as the agent deals with it."""

    def __init__(
        self,
        service: str,
        guard: Guard,
        engine: Engine,
        put: Callable[[Event], None],
        fresh: Fresh,
        metrics: Metrics,
    ) -> None:
        self._service = service
        self._guard = guard
        self._engine = engine
        self._put = put
        self._fresh = fresh
        self._metrics = metrics
        self._engine_pid: int | None = None
        self._asked = asyncio.Event()
        self._pidfd = -1
        self._exits = 0
        self._bounded = True
        """Whether a deadline binds a writable engine, or none may be writable."""
        self.problem = ""
        """Why there is no guard; empty while there is one."""
        guard.add_listener(self._hear)

    async def run(self) -> None:
        """Keep a guard alive, until cancelled."""
        status = await self._have_one(lambda: None)
        self._tell(status)
        self._fresh.guarded = True
        self._fresh.renew()
        while True:
            await self._until_gone(status)
            log.warning("the guard died", service=self._service)
            self._metrics.timings(self._service).interrupted()
            self._fresh.guarded = False
            self._fresh.renew()
            await self._end_leftovers()
            status = await self._another()

    async def _another(self) -> GuardStatus:
        """A new guard first, so that a restart of the engine finds it, and its permit in force."""
        told = False

        def tell() -> None:
            nonlocal told
            if not told:
                told = True
                self._engine_pid = None
                self._fresh.renew()
                self._put(EngineExited(reason="the guard died", fenced=False))

        status = await self._have_one(tell)
        self._tell(status)
        tell()
        self._fresh.guarded = True
        return status

    def look_again(self) -> None:
        """Ask the guard what it allows, and tell the rules."""
        self._asked.set()

    async def allow_until(self, end_ms: int) -> None:
        """Extend the permit. When that fails, the rules are told what is in force.

        Where no earlier deadline binds the engine, for it stood alone, a lease that the guard
        does not take is a fence: the step that wanted it will be acknowledged.
        """
        taken = await self._extend(self._guard.lease(end_ms))
        if taken:
            self._metrics.renewed(self._service, now_ms())
        if not taken and not self._bounded:
            await self.close()
        self._bounded = True

    async def allow_alone(self) -> None:
        """A permit without an end. When that fails, the rules are told what is in force."""
        self._bounded = False
        self._metrics.timings(self._service).interrupted()
        await self._extend(self._guard.alone())

    async def close(self) -> None:
        """The fence: returns when no process of a writable engine is left."""
        self._metrics.timings(self._service).interrupted()
        while True:
            try:
                await self._guard.close_permission(CLOSE_LIMIT_MS)
                return
            except GuardGone:
                await self._end_leftovers()
                return
            except GuardBusy:
                await self._end_a_frozen_guard()
                await asyncio.sleep(CLOSE_PAUSE_S)

    async def end_engine(self) -> None:
        """Kill an engine whatever the guard thinks of it; tried again when it is seen again."""
        log.error("a primary without a right is ended", service=self._service)
        with contextlib.suppress(GuardError):
            await self._guard.kill()

    async def _extend(self, asked: Awaitable[object]) -> bool:
        try:
            await asked
        except GuardGone:
            # `run` sees it die too, and tells.
            return False
        except (GuardBusy, GuardRefused) as error:
            log.warning("the guard extended nothing", service=self._service, error=str(error))
            self.look_again()
            return False
        return True

    async def _have_one(self, on_failure: Callable[[], None]) -> GuardStatus:
        while True:
            try:
                status = await self._answering()
                self.problem = ""
                log.info("guard is there", service=self._service, permission=status.permission)
                return status
            except (GuardError, EngineError, OSError) as error:
                on_failure()
                if str(error) != self.problem:
                    self.problem = str(error)
                    log.error("there is no guard", service=self._service, error=str(error))
            await asyncio.sleep(RETRY_S)

    async def _answering(self) -> GuardStatus:
        try:
            return await self._guard.status()
        except GuardGone:
            # Without namespaces, processes of its engine may have outlived it.
            await self._engine.kill()
        return await self._guard.ensure_running()

    def _tell(self, status: GuardStatus) -> None:
        # One that is being ended may write until it is gone.
        runs = status.engine is not None
        writable = status.engine is not None and status.engine.writable
        self._bounded = status.permission != Permit.ALONE
        self._engine_pid = status.engine.pid if status.engine else None
        self._put(
            GuardState(
                permit=Permit(status.permission),
                permit_end_ms=status.deadline_ms or 0,
                engine_runs=runs,
                writable=writable,
            )
        )

    def _hear(self, event: GuardEvent) -> None:
        if isinstance(event, Fence):
            log.warning(
                "the guard fenced at its deadline",
                service=self._service,
                late_ms=event.late_ms,
                kill_ms=event.kill_ms,
            )
            return
        self._exited(event)

    def _exited(self, event: EngineExit) -> None:
        self._exits += 1
        self._engine_pid = None
        timings = self._metrics.timings(self._service)
        timings.interrupted()
        if event.reason != "exited":
            timings.killed(event.kill_ms)
        if event.reason in ("deadline", "closed"):
            self._metrics.fences.labels(self._service, event.reason).inc()
            self._metrics.fence_seconds.labels(self._service).observe(event.kill_ms / 1000)
        self._fresh.renew()
        self._put(EngineExited(reason=_said(event), fenced=event.reason == "deadline"))

    async def _until_gone(self, status: GuardStatus) -> None:
        try:
            self._pidfd = os.pidfd_open(status.pid)
        except ProcessLookupError:
            return
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._pidfd, gone.set)
        try:
            while not gone.is_set():
                await _first_of(gone, self._asked)
                if not gone.is_set() and not await self._is_still(status.pid):
                    return
        finally:
            loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    async def _is_still(self, pid: int) -> bool:
        """Whether this very guard answers; also hears what an event that was lost would say."""
        exits = self._exits
        try:
            status = await self._guard.status()
        except GuardBusy:
            return True
        except GuardGone:
            return False
        if status.pid != pid:
            return False
        if self._exits != exits:
            # An exit was told meanwhile: this answer is older than what is known.
            return True
        if self._engine_pid is not None and _pid(status) != self._engine_pid and status.last_exit:
            self._exited(status.last_exit)
        self._engine_pid = _pid(status)
        if self._asked.is_set():
            self._asked.clear()
            self._tell(status)
        return True

    async def _end_leftovers(self) -> None:
        """Returns when no process of the engine is left."""
        while True:
            try:
                await self._engine.kill()
                return
            except (EngineError, GuardError, OSError) as error:
                log.error("the engine cannot be ended", service=self._service, error=str(error))
                await asyncio.sleep(RETRY_S)

    async def _end_a_frozen_guard(self) -> None:
        """It may wait for processes to end; but if it does not even answer, it guards nothing."""
        with contextlib.suppress(GuardGone):
            try:
                await self._guard.status()
                return
            except GuardBusy:
                log.error("the guard does not answer: ending it", service=self._service)
            if self._pidfd >= 0:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)


async def _first_of(gone: asyncio.Event, asked: asyncio.Event) -> None:
    """Until either is set, or it is time to look by ourselves."""
    waits = [asyncio.ensure_future(event.wait()) for event in (gone, asked)]
    try:
        await asyncio.wait(waits, timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def _pid(status: GuardStatus) -> int | None:
    return status.engine.pid if status.engine else None


def _said(event: EngineExit) -> str:
    texts = {
        "deadline": "fenced by the guard: the lease had ended",
        "closed": "fenced",
        "killed": "killed on request",
    }
    if event.reason in texts:
        return texts[event.reason]
    if event.status > 128:
        return f"killed by signal {event.status - 128}; the engine's log may say why"
    return f"ended with status {event.status}; the engine's log says why"
