"""Looks at one engine again and again, and keeps the backup's slot on a primary.

A look that began before something happened to the engine tells of what is no more; it is
dropped, and another is taken at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import structlog
from msgspec.structs import replace

from agents.core.model import Replica
from agents.core.observation import Observation
from agents.core.permission import may_write
from agents.engines.base import Engine, EngineError
from agents.guard.client import GuardError, now_ms
from agents.replica.jobs import Fresh, slot_name
from agents.replica.mailbox import Seen
from protocol.messages import Role

LOOK_EVERY_S = 0.25
LOOK_LIMIT_S = 3.0
DOWN_PAUSE_S = 0.05
BLIND_S = 3.0
"""After so long without an answer a standby no longer counts as streaming."""
SLOT_EVERY_S = 5.0
SLOT_RETRY_S = 0.2
SLOT_LIMIT_S = 15.0

log = structlog.get_logger("watch")


class Watch:
    """The looks of one replica."""

    def __init__(
        self,
        service: str,
        engine: Engine,
        declared: Callable[[str], str],
        put: Callable[[Seen], None],
        fresh: Fresh,
        stranded: Callable[[], str] = str,
    ) -> None:
        self._service = service
        self._engine = engine
        self._declared = declared
        self._put = put
        self._fresh = fresh
        self._stranded = stranded
        self._last: Observation | None = None
        self._seen_s = time.monotonic()
        self.problem = ""
        """Why the engine cannot be looked at; empty while it can."""

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            self._fresh.changed.clear()
            if self._fresh.settled:
                await self._look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._fresh.changed.wait()

    async def _look(self) -> None:
        begun = self._fresh.count
        try:
            async with asyncio.timeout(LOOK_LIMIT_S):
                seen = await self._engine.observe()
        except (EngineError, GuardError, OSError, TimeoutError) as error:
            self._blind(begun, str(error) or f"no answer in {LOOK_LIMIT_S:.0f} s")
            return
        except Exception as error:  # noqa: BLE001 - a bug in one look must not fence the others
            self._blind(begun, f"unforeseen: {error!r}; please report it with the agent's log")
            return
        self._seen_s = time.monotonic()
        self.problem = ""
        if self._went_down(seen):
            # The guard tells of an exit, or its own end is noticed: that comes first.
            await asyncio.sleep(DOWN_PAUSE_S)
        if begun != self._fresh.count or not self._fresh.settled:
            return
        stranded = "" if seen.streaming else self._stranded()
        self._last = replace(seen, upstream=self._declared(seen.upstream), stranded=stranded)
        self._put(Seen(begun, self._last))

    def _went_down(self, seen: Observation) -> bool:
        up_before = self._last is not None and self._last.role is not Role.DOWN
        return seen.role is Role.DOWN and up_before

    def _blind(self, begun: int, error: str) -> None:
        """A standby that shows nothing must not pass for one that streams."""
        blind_s = time.monotonic() - self._seen_s
        if blind_s < BLIND_S:
            return
        if error != self.problem:
            self.problem = error
            log.warning("the engine cannot be looked at", service=self._service, error=error)
        if self._last is not None and self._last.role is Role.STANDBY:
            self._put(Seen(begun, replace(self._last, streaming=False)))


class SlotKeeper:
    """While this replica is primary: the slot from which its backup reads."""

    def __init__(
        self, service: str, engine: Engine, replica: Callable[[], Replica], fresh: Fresh
    ) -> None:
        self._service = service
        self._engine = engine
        self._replica = replica
        self._fresh = fresh
        self._done: tuple[int, str] | None = None
        self._done_s = 0.0
        self.problem = ""
        """Why the slot could not be made; empty when it stands or is not needed."""
        self.others = ""
        """Slots that hold log for nobody who is assigned here; they are left, and said."""

    async def run(self) -> None:
        """Keep the slot, until cancelled."""
        while True:
            wanted = self._wanted()
            if wanted is None:
                self.problem = self.others = ""
            elif self._is_due(wanted):
                await self._ensure(wanted)
            await asyncio.sleep(SLOT_RETRY_S)

    def _wanted(self) -> str | None:
        replica = self._replica()
        assignment = replica.durable.assignment
        is_primary = replica.observation.role is Role.PRIMARY and may_write(replica, now_ms())
        if not is_primary or assignment is None or assignment.partner is None:
            return None
        return slot_name(assignment.partner.agent)

    def _is_due(self, wanted: str) -> bool:
        if not self._fresh.settled:
            return False
        old = time.monotonic() - self._done_s > SLOT_EVERY_S
        return old or self._done != (self._fresh.count, wanted)

    async def _ensure(self, wanted: str) -> None:
        count = self._fresh.count
        try:
            async with asyncio.timeout(SLOT_LIMIT_S):
                await self._engine.ensure_slot(wanted)
                self.others = _others(await self._engine.other_slots(wanted))
        except Exception as error:  # noqa: BLE001
            # Whatever it is, it is no reason to end the agent; it is reported and tried again.
            text = f"no slot for the backup: {str(error) or repr(error)}"
            if text != self.problem:
                log.warning("no slot for the backup", service=self._service, error=repr(error))
            self.problem = text[:500]
            return
        self._done, self._done_s, self.problem = (count, wanted), time.monotonic(), ""


def _others(slots: tuple[str, ...]) -> str:
    if not slots:
        return ""
    named = ", ".join(slots)[:400]
    return (
        f"slots hold log for no replica that is assigned here: {named}; drop each that nobody "
        "needs with pg_drop_replication_slot"
    )
