"""What goes on beside a running engine, at a slow pace: its upkeep, and its fitness.

Neither is in the way of a lease: each has a task and sessions of its own, with time limits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from agents.core.model import Replica
from agents.engines.base import Engine, EngineError
from agents.guard.client import GuardError
from agents.replica.jobs import Fresh, Wiring, upstream_of
from protocol.messages import Role

POLL_S = 0.2
UPKEEP_EVERY_S = 5.0
COMPARE_EVERY_S = 30.0
COMPARE_RETRY_S = 1.0
LIMIT_S = 75.0
TEXT_AT_MOST = 2000

log = structlog.get_logger("upkeep")


class Upkeep:
    """Takes up passwords and rules that changed, and gives a primary's roles what they lack."""

    def __init__(
        self, service: str, engine: Engine, replica: Callable[[], Replica], fresh: Fresh
    ) -> None:
        self._service = service
        self._engine = engine
        self._replica = replica
        self._fresh = fresh
        self.problem = ""
        """Why it could not be done; empty when it was."""

    async def run(self) -> None:
        """Tend, until cancelled; at once when something happened to the engine."""
        done, done_s = -1, 0.0
        while True:
            old = time.monotonic() - done_s > UPKEEP_EVERY_S
            runs = self._replica().observation.role in (Role.STANDBY, Role.PRIMARY)
            if self._fresh.settled and runs and (old or done != self._fresh.count):
                done, done_s = self._fresh.count, time.monotonic()
                await self._tend()
            await asyncio.sleep(POLL_S)

    async def _tend(self) -> None:
        try:
            async with asyncio.timeout(LIMIT_S):
                await self._engine.upkeep()
        except Exception as error:  # noqa: BLE001
            # Whatever it is, it is no reason to end the agent; it is reported and tried again.
            text = f"passwords and roles: {str(error) or repr(error)}"
            if text != self.problem:
                log.warning("passwords and roles", service=self._service, error=repr(error))
            self.problem = text[:500]
            return
        self.problem = ""


class Fitness:
    """Whether the standby here matches its upstream, as last compared since its start."""

    def __init__(
        self,
        service: str,
        engine: Engine,
        wiring: Wiring,
        replica: Callable[[], Replica],
        fresh: Fresh,
        changed: Callable[[], None],
    ) -> None:
        self._service = service
        self._engine = engine
        self._wiring = wiring
        self._replica = replica
        self._fresh = fresh
        self._changed = changed
        self._compared = ""
        """With whom it was last compared since it runs; empty before."""
        self._found: tuple[str, ...] = ()
        self._problem = ""

    @property
    def unfit(self) -> str:
        """What keeps this replica from being trusted with the service; empty for a primary."""
        address = self._upstream_address()
        if not address:
            return ""
        if self._compared != address:
            why = f": {self._problem}" if self._problem else ""
            return _clipped(f"it is not compared with its upstream yet{why}")
        return _clipped("; ".join(self._found))

    async def run(self) -> None:
        """Compare, until cancelled; at once when something happened to the engine.

        What was found counts until it is compared again, or the engine does not run.
        """
        tried: tuple[int, str] | None = None
        tried_s = 0.0
        while True:
            wanted = (self._fresh.count, self._upstream_address())
            if not wanted[1]:
                self._compared, self._problem, tried = "", "", None
            elif self._fresh.settled and (tried != wanted or self._is_due(tried_s)):
                tried, tried_s = wanted, time.monotonic()
                await self._compare(wanted[1])
            await asyncio.sleep(POLL_S)

    def _is_due(self, tried_s: float) -> bool:
        known = self._compared == self._upstream_address() and not self._problem
        return time.monotonic() - tried_s > (COMPARE_EVERY_S if known else COMPARE_RETRY_S)

    def _upstream_address(self) -> str:
        """As declared; empty while this replica is no standby of another."""
        replica = self._replica()
        assignment = replica.durable.assignment
        if replica.observation.role is not Role.STANDBY or assignment is None:
            return ""
        is_other = assignment.partner is not None and assignment.primary != replica.agent
        return assignment.partner.engine_address if assignment.partner and is_other else ""

    async def _compare(self, address: str) -> None:
        assignment = self._replica().durable.assignment
        if assignment is None or assignment.partner is None:
            return
        upstream = upstream_of(assignment.partner, assignment.system_identifier, self._wiring)
        before = self.unfit
        try:
            async with asyncio.timeout(LIMIT_S):
                found = await self._engine.unfit(upstream)
        except (EngineError, GuardError, OSError, TimeoutError) as error:
            self._problem = str(error) or f"no answer in {LIMIT_S:.0f} s"
        except Exception as error:  # noqa: BLE001 - a bug here must not end the leases
            self._problem = f"unforeseen: {error!r}; please report it with the agent's log"
        else:
            self._compared, self._found, self._problem = address, found, ""
        if self.unfit != before:
            if self.unfit:
                log.warning("unfit to take over", service=self._service, because=self.unfit)
            self._changed()


def _clipped(text: str) -> str:
    return text if len(text) <= TEXT_AT_MOST else text[: TEXT_AT_MOST - 1] + "…"
