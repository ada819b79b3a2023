"""Beside a primary in sync mode: what lets commits through that no backup has.

Settings of roles and databases are looked at every half a minute, the server's log every two
seconds. Neither is in the way of a lease; what is found is reported, and changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from agents.core.model import Replica
from agents.engines.base import Engine, EngineError, Waits
from agents.guard.client import GuardError
from agents.replica.jobs import Fresh
from protocol.messages import Role

POLL_S = 0.5
LOOK_EVERY_S = 30.0
LOOK_RETRY_S = 2.0
COUNT_EVERY_S = 2.0
LIMIT_S = 20.0
TEXT_AT_MOST = 2000

log = structlog.get_logger("sync")


class SyncWatch:
    """Of one replica."""

    def __init__(
        self,
        service: str,
        engine: Engine,
        replica: Callable[[], Replica],
        fresh: Fresh,
        changed: Callable[[], None],
    ) -> None:
        self._service = service
        self._engine = engine
        self._replica = replica
        self._fresh = fresh
        self._changed = changed
        self._found = Waits()
        self._looked: tuple[int, str] | None = None
        self._due_s = 0.0
        self._counted_s = 0.0
        self.cancelled = 0
        """Commits of this life of the agent that stopped waiting for the backup."""

    @property
    def weakened(self) -> str:
        """By what commits need not wait; empty when all must, or none shall."""
        return "; ".join(self._found.weakened)[:TEXT_AT_MOST]

    @property
    def problem(self) -> str:
        """Why cancelled waits may not be counted."""
        return self._found.unseen

    async def run(self) -> None:
        """Look and count, until cancelled; at once when something happened to the engine."""
        while True:
            wanted = self._wanted()
            if wanted is None:
                self._tell(Waits(), self.cancelled)
                self._looked = None
            elif self._fresh.settled and (wanted != self._looked or time.monotonic() > self._due_s):
                self._looked = wanted
                await self._look()
            if time.monotonic() - self._counted_s > COUNT_EVERY_S:
                self._counted_s = time.monotonic()
                await self._count()
            await asyncio.sleep(POLL_S)

    def _wanted(self) -> tuple[int, str] | None:
        """What a look is of; None while no commit of this replica shall wait."""
        replica = self._replica()
        assignment = replica.durable.assignment
        waits = assignment is not None and assignment.sync and assignment.partner is not None
        if not waits or replica.observation.role is not Role.PRIMARY:
            return None
        return self._fresh.count, replica.sync_with or ""

    async def _look(self) -> None:
        self._due_s = time.monotonic() + LOOK_RETRY_S
        try:
            async with asyncio.timeout(LIMIT_S):
                found = await self._engine.weakness()
        except (EngineError, GuardError, OSError, TimeoutError) as error:
            # Whether it answers at all, others say; it is looked at again soon.
            log.info("settings not looked at", service=self._service, error=repr(error))
            return
        except Exception as error:  # noqa: BLE001 - a bug here must not end the leases
            log.error("settings not looked at", service=self._service, error=repr(error))
            return
        self._due_s = time.monotonic() + LOOK_EVERY_S
        self._tell(found, self.cancelled)

    async def _count(self) -> None:
        try:
            async with asyncio.timeout(LIMIT_S):
                count = await self._engine.cancelled_waits()
        except Exception as error:  # noqa: BLE001 - no reason to end the agent
            log.error("the server's log is not read", service=self._service, error=repr(error))
            return
        self._tell(self._found, count)

    def _tell(self, found: Waits, cancelled: int) -> None:
        if (found, cancelled) == (self._found, self.cancelled):
            return
        if cancelled > self.cancelled:
            log.warning(
                "commits stopped waiting for the backup",
                service=self._service, more=cancelled - self.cancelled, in_all=cancelled,
            )  # fmt: skip
        if found.weakened and found != self._found:
            log.warning("sync mode is weakened", service=self._service, by=found.weakened)
        self._found, self.cancelled = found, cancelled
        self._changed()
