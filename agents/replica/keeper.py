"""Keeps a guard beside one replica and tells the rules what it says.

The agent and its guard watch each other: the guard fences an engine whose agent does not
extend the lease, and the agent ends a guard that no longer answers, and with it the engine:
at once where the fence asks it, after some looks otherwise. A guard that stands still keeps no
deadline, so a new life of the agent does not wait for it either.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from agents.core.actions import PermitLease
from agents.core.events import EngineExited, Event, GuardState
from agents.core.model import Permit
from agents.engines.base import Engine, EngineError
from agents.guard.client import (
    EngineExit,
    Fence,
    GuardBusy,
    GuardError,
    GuardEvent,
    GuardGone,
    GuardRefused,
    GuardStatus,
    LayerStatus,
    now_ms,
)
from agents.metrics import Metrics
from agents.replica.fencing import Fencing
from agents.replica.jobs import Fresh
from agents.replica.jumps import Jumps
from agents.replica.outliving import Ending

CLOSE_LIMIT_MS = 100
ANSWER_LIMIT_MS = 50
"""A guard that neither fences nor answers in these is ended, and with it its engine, so that
this, too, is over when the lease ends: `config.leases.FENCE_MARGIN_MS` is more than both."""
EXTEND_LIMIT_MS = 300
"""How long a renewal waits for a guard, unless the permit in force ends sooner."""
BIND_LIMIT_MS = 1000
CLOSE_PAUSE_S = 0.02
LOOK_EVERY_S = 0.5
LOOK_LIMIT_MS = 500
SILENT_LOOKS = 5
"""So many in a row without an answer, and a guard stands still. Together they last longer than
a start of its engine may keep it busy (`agents.guard.engine.START_LIMIT_MS`)."""
RETRY_S = 0.5

log = structlog.get_logger("guard")


class Guard(Protocol):
    """What is asked of a guard; `agents.guard.client.GuardClient` is one."""

    def add_listener(self, listener: Callable[[GuardEvent], None]) -> None: ...

    async def ensure_running(self) -> GuardStatus: ...

    async def status(self, timeout_ms: int = 1000) -> GuardStatus: ...

    async def fences(self, timeout_ms: int = 3000, **wanted: object) -> tuple[LayerStatus, ...]: ...

    async def lease(self, deadline_ms: int, timeout_ms: int = 1000, **more: int) -> int: ...

    async def alone(self) -> None: ...

    async def close_permission(self, timeout_ms: int = 10_000) -> int: ...

    def end(self) -> None: ...


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
        fencing: Fencing,
        jumps: Jumps | None = None,
    ) -> None:
        self._service = service
        self.fencing = fencing
        self._guard = guard
        self._engine = engine
        self._put = put
        self._fresh = fresh
        self._metrics = metrics
        self._engine_pid: int | None = None
        self._asked = asyncio.Event()
        self._silent_looks = 0
        self.ending = Ending(service)
        self._exits = 0
        self._permit_end_ms = 0
        self._jumps = jumps or Jumps()
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
        self._jumps.begin_guard()
        self._tell(status)
        tell()
        self._fresh.guarded = True
        return status

    def look_again(self) -> None:
        """Ask the guard what it allows, and tell the rules."""
        self._asked.set()

    async def allow_until(self, permit: PermitLease) -> None:
        """Extend the permit. When that fails, the rules are told what is in force.

        Where no earlier deadline binds the engine, for it stood alone, a lease that the guard
        does not take is a fence: the step that wanted it will be acknowledged.
        """
        # A new guard must know its fences first. The rules ask again when they hear of it.
        taken = self._fresh.guarded and await self._lease(self._jumps.shortened(permit))
        if not taken and not self._bounded:
            await self.close()
        self._bounded = True

    async def _lease(self, permit: PermitLease) -> bool:
        more = {"end_ms": permit.lease_end_ms, "asked_ms": permit.asked_ms, "ttl_ms": permit.ttl_ms}
        limit_ms = self._extend_limit_ms()
        taken = await self._extend(self._guard.lease(permit.end_ms, limit_ms, **more))
        if taken:
            self._permit_end_ms = permit.end_ms
            self._metrics.renewed(self._service, now_ms())
        return taken

    async def allow_alone(self) -> None:
        """A permit without an end. When that fails, the rules are told what is in force."""
        self._bounded = False
        self._metrics.timings(self._service).interrupted()
        await self._extend(self._guard.alone())

    async def close(self) -> None:
        """The fence: returns when no process of a writable engine is left."""
        self._metrics.timings(self._service).interrupted()
        with self.ending:
            while not await self._closed():
                self.ending.tell()

    async def _closed(self) -> bool:
        """One try, and a pause after it where it is not over; whether it is."""
        try:
            await self._guard.close_permission(CLOSE_LIMIT_MS)
            return True
        except GuardGone:
            pass
        except GuardBusy:
            if not await self._stands_still():
                await asyncio.sleep(CLOSE_PAUSE_S)
                return False
            self._guard.end()
        await self._end_leftovers()
        return True

    async def end_engine(self) -> None:
        """Kill an engine whatever the guard thinks of it; tried again when it is seen again."""
        log.error("a primary without a right is ended", service=self._service)
        with contextlib.suppress(EngineError):
            await self._engine.kill()

    def _extend_limit_ms(self) -> int:
        """A renewal that a guard does not take must not hold up the fence that comes next."""
        if not self._bounded:
            return BIND_LIMIT_MS
        left_ms = self._permit_end_ms - now_ms()
        return min(EXTEND_LIMIT_MS, left_ms) if left_ms > 0 else EXTEND_LIMIT_MS

    async def _extend(self, asked: Awaitable[object]) -> bool:
        try:
            await asked
        except GuardGone:
            # `run` sees it die too, and tells.
            return False
        except (GuardBusy, GuardRefused) as error:
            log.warning("the guard extended nothing", service=self._service, error=str(error))
            self.look_again()
            # The rules ask again as soon as they hear what is in force.
            await asyncio.sleep(CLOSE_PAUSE_S)
            return False
        return True

    async def _have_one(self, on_failure: Callable[[], None]) -> GuardStatus:
        while True:
            try:
                status = await self._answering()
                self._answered()
                log.info("guard is there", service=self._service, permission=status.permission)
                return status
            except GuardBusy:
                # That look took its time already, and a guard that stands still keeps no deadline.
                on_failure()
                await asyncio.sleep(CLOSE_PAUSE_S)
                continue
            except (GuardError, EngineError, OSError) as error:
                on_failure()
                if str(error) != self.problem:
                    self.problem = str(error)
                    log.error("there is no guard", service=self._service, error=str(error))
            await asyncio.sleep(RETRY_S)

    async def _answering(self) -> GuardStatus:
        """One that was told of its fences, so that it acknowledges no lease without them."""
        status = await self._any_guard()
        await self.fencing.configure(self._guard)
        return status

    async def _any_guard(self) -> GuardStatus:
        try:
            return await self._guard.status(LOOK_LIMIT_MS)
        except GuardBusy:
            if not self._gives_it_up():
                raise
        except GuardGone:
            pass
        # Without namespaces, processes of its engine may have outlived it.
        await self._engine.end_processes()
        return await self._guard.ensure_running()

    def _tell(self, status: GuardStatus) -> None:
        engine, permit = status.engine, Permit(status.permission)
        self._bounded = status.permission != Permit.ALONE
        self._permit_end_ms = status.deadline_ms or 0
        self._engine_pid = engine.pid if engine else None
        # One that is being ended may write until it is gone.
        writable = engine is not None and engine.writable
        self._put(GuardState(permit, self._permit_end_ms, engine is not None, writable))

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
            pidfd = os.pidfd_open(status.pid)
        except ProcessLookupError:
            return
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(pidfd, gone.set)
        try:
            while not gone.is_set():
                await _first_of(gone, self._asked)
                if not gone.is_set() and not await self._is_still(status.pid):
                    return
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)

    async def _is_still(self, pid: int) -> bool:
        """Whether this very guard answers; also hears what an event that was lost would say."""
        self._jumps.look()
        exits = self._exits
        try:
            status = await self._guard.status(LOOK_LIMIT_MS)
        except GuardBusy:
            return not self._gives_it_up()
        except GuardGone:
            return False
        self._answered()
        if status.pid != pid:
            return False
        self.fencing.heard(status.layers)
        await self.fencing.keep(self._guard)
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
        with self.ending:
            while True:
                try:
                    await self._engine.end_processes()
                    return
                except (EngineError, OSError) as error:
                    log.error("the engine cannot be ended", service=self._service, error=str(error))
                    await asyncio.sleep(RETRY_S)

    async def _stands_still(self) -> bool:
        """It may wait for processes to end; but if it does not even answer, it guards nothing."""
        try:
            await self._guard.status(ANSWER_LIMIT_MS)
        except GuardBusy:
            log.error("the guard does not answer to a fence: ending it", service=self._service)
            return True
        except GuardGone:
            pass
        return False

    def _gives_it_up(self) -> bool:
        """After one more look without an answer: whether that was one too many, and it is ended."""
        self._silent_looks += 1
        self.problem = "the guard does not answer: if that goes on, it and its engine are ended"
        if self._silent_looks < SILENT_LOOKS:
            return False
        self._silent_looks = 0
        log.error("the guard stands still: ending it", service=self._service)
        self._guard.end()
        return True

    def _answered(self) -> None:
        self._silent_looks, self.problem = 0, ""


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
