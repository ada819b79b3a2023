"""Asks the upstream whether a backup that does not stream could ever stream again as it is.

Only the upstream knows what log it still has. What is found stands in the next look at the
engine, so that the rules decide from one whole picture.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from agents.core.model import Replica
from agents.engines.base import Engine, EngineError, Upstream
from agents.guard.client import GuardError
from agents.replica.jobs import Fresh
from protocol.messages import Goal, Partner, Role

PATIENCE_S = 2.0
"""A standby that was just started or pointed elsewhere needs a moment to connect."""
ASK_EVERY_S = 3.0
ASK_LIMIT_S = 15.0
STEP_S = 0.25

log = structlog.get_logger("stranded")


class Stranded:
    """The doubt about one replica."""

    def __init__(
        self,
        service: str,
        engine: Engine,
        replica: Callable[[], Replica],
        upstream_of: Callable[[Partner, str], Upstream],
        fresh: Fresh,
    ) -> None:
        self._service = service
        self._engine = engine
        self._replica = replica
        self._upstream_of = upstream_of
        self._fresh = fresh
        self._found = ""
        self._found_at = -1
        self._since_s: float | None = None
        self.problem = ""
        """Why the upstream could not even be asked; empty while nothing is doubted."""

    @property
    def reason(self) -> str:
        """Why it can never follow as it is; empty once something happened to the engine."""
        return self._found if self._found_at == self._fresh.count else ""

    async def run(self) -> None:
        """Doubt, until cancelled."""
        while True:
            upstream = self._doubted()
            if upstream is None:
                self._since_s, self.problem = None, ""
            elif self._since_s is None:
                self._since_s = time.monotonic()
            elif time.monotonic() - self._since_s >= PATIENCE_S and not self.reason:
                await self._ask(upstream)
                self._since_s = time.monotonic() - PATIENCE_S + ASK_EVERY_S
            await asyncio.sleep(STEP_S)

    def _doubted(self) -> Upstream | None:
        """Whom to ask: the upstream of a standby that does not stream from it."""
        replica = self._replica()
        assignment, seen = replica.durable.assignment, replica.observation
        waits = seen.role is Role.STANDBY and not seen.streaming and self._fresh.settled
        if assignment is None or assignment.goal is not Goal.BACKUP or not waits:
            return None
        if assignment.partner is None or seen.upstream != assignment.partner.engine_address:
            return None
        return self._upstream_of(assignment.partner, assignment.system_identifier)

    async def _ask(self, upstream: Upstream) -> None:
        count = self._fresh.count
        try:
            async with asyncio.timeout(ASK_LIMIT_S):
                found = await self._engine.stranded(upstream)
        except (EngineError, GuardError, OSError, TimeoutError) as error:
            self.problem = f"it does not stream, and {upstream.address} cannot be asked: {error}"
            return
        except Exception as error:  # noqa: BLE001 - a bug in one doubt must not fence the others
            log.error("the upstream's log was not looked for", error=repr(error))
            return
        self.problem = ""
        if found and count == self._fresh.count:
            log.warning("the backup cannot follow as it is", service=self._service, why=found)
            self._found, self._found_at = found, count
            self._fresh.changed.set()
