"""What stands beside one copy: quarantines are told, old copies go once the new one is trusted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from agents.core.model import Replica
from agents.engines.base import Aside, Engine, EngineError
from agents.guard.client import GuardError
from agents.metrics import Metrics
from agents.replica.jobs import Fresh
from protocol.messages import Goal

LOOK_EVERY_S = 5.0
STREAMS_FOR_S = 60.0
"""So long the new copy must have streamed before the old one goes."""

log = structlog.get_logger("aside")


class AsideKeeper:
    """Beside one replica. `removes`: whether old copies go by themselves."""

    def __init__(
        self,
        service: str,
        engine: Engine,
        replica: Callable[[], Replica],
        fresh: Fresh,
        metrics: Metrics,
        removes: bool,
    ) -> None:
        self._service = service
        self._engine = engine
        self._replica = replica
        self._fresh = fresh
        self._metrics = metrics
        self._removes = removes
        self._streams_since_s: float | None = None
        self.quarantine = ""
        """What is in quarantine, the newest first; empty when nothing is."""

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            try:
                await self._look()
            except (EngineError, GuardError, OSError) as error:
                log.warning("not looked beside", service=self._service, error=str(error))
            except Exception as error:  # noqa: BLE001 - no reason to end the agent
                log.error("not looked beside", service=self._service, error=repr(error))
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> None:
        found = await self._engine.aside()
        self._tell(found)
        if self._is_trusted() and found.old_copies and self._removes and self._fresh.settled:
            await self._engine.forget_old_copy()
            paths = ", ".join(map(str, found.old_copies))
            log.info("old copies were removed", service=self._service, paths=paths)

    def _tell(self, found: Aside) -> None:
        kept = found.quarantines
        texts = [each.text for each in reversed(kept)]
        texts += [f"an old copy is kept for a human in {path}" for path in found.kept_copies]
        self.quarantine = "; ".join(texts)
        transactions = sum(each.transactions or 0 for each in kept)
        metrics = self._metrics
        metrics.quarantine_transactions.labels(self._service).set(transactions)
        metrics.quarantine_bytes.labels(self._service).set(sum(each.bytes for each in kept))
        copies = len(found.old_copies) + len(found.kept_copies)
        metrics.old_copies.labels(self._service).set(copies)

    def _is_trusted(self) -> bool:
        """It streams, and has for a while, as a backup that the controller lets grant."""
        replica = self._replica()
        assignment = replica.durable.assignment
        grants = assignment is not None and assignment.may_grant
        if not grants or not replica.observation.streaming or not _is_backup(replica):
            self._streams_since_s = None
            return False
        now_s = time.monotonic()
        if self._streams_since_s is None:
            self._streams_since_s = now_s
        return now_s - self._streams_since_s >= STREAMS_FOR_S


def _is_backup(replica: Replica) -> bool:
    assignment = replica.durable.assignment
    return assignment is not None and assignment.goal is Goal.BACKUP
