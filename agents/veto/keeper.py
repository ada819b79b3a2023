"""The running agent's part of a local veto: takes it for all replicas or none, and counts its time.

It is answered only when every replica's rules have taken it and it is on disk. From then on it is
kept, whatever ends this life of the agent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog
from msgspec.structs import replace

from agents.core.events import Event, VetoAsked, VetoEnded, VetoPutBack
from agents.guard.client import now_ms
from agents.replica.worker import Worker
from agents.veto import file as files
from agents.veto.file import ANSWER, ASKED, IN_FORCE, Answer, Asked, Veto

LOOK_S = 0.2
DECIDE_S = 3.0
DECIDE_LOOK_S = 0.01
WRITE_EVERY_MS = 10_000
"""After a restart the veto lasts so much longer at most than it was asked for."""

log = structlog.get_logger("hold")


class VetoKeeper:
    """One task of the agent."""

    def __init__(
        self,
        directory: Path,
        kept: Veto | None,
        life: str,
        workers: Callable[[], Iterable[Worker]],
        report_soon: Callable[[], None],
    ) -> None:
        self._directory = directory
        self._veto = kept
        self._life = life
        self._workers = workers
        self._report_soon = report_soon
        self._asked = 0
        self._end_ms = now_ms() + kept.left_ms if kept else 0
        self._written_ms = now_ms()

    async def run(self) -> None:
        """Work, until cancelled."""
        while True:
            try:
                await self._serve()
                await self._count()
            except OSError as error:
                log.warning("the hold's files cannot be used", error=error.strerror or str(error))
            await asyncio.sleep(LOOK_S)

    async def _serve(self) -> None:
        asked = await asyncio.to_thread(files.read_asked, self._directory)
        if asked is None:
            return
        problem = await (self._take(asked) if asked.for_ms else self._release())
        text = problem or ("taken" if asked.for_ms else "released")
        log.info("a hold of this host", by=asked.by, reason=asked.reason, outcome=text)
        answer = Answer(asked.id, not problem, text)
        await asyncio.to_thread(files.write, self._directory, ANSWER, answer)
        await asyncio.to_thread(files.forget, self._directory, ASKED)
        self._report_soon()

    async def _take(self, asked: Asked) -> str:
        """Why it is not taken; empty when it is."""
        self._asked += 1
        name, end_ms = f"{self._life}.{self._asked}", now_ms() + asked.for_ms
        veto = Veto(asked.by, asked.reason, asked.for_ms, asked.for_ms)
        self._tell(VetoAsked(name, veto.text, end_ms))
        problem = await self._decided(name) or await self._written(veto)
        if problem:
            self._back()
            return problem
        self._veto, self._end_ms = veto, end_ms
        return ""

    async def _decided(self, name: str) -> str:
        """What the replicas' rules say; some of them may wait for a disk."""
        end_s = asyncio.get_running_loop().time() + DECIDE_S
        while asyncio.get_running_loop().time() < end_s:
            replicas = [worker.settled for worker in self._workers()]
            if all(replica.veto_asked == name for replica in replicas):
                return "; ".join(
                    f"{replica.service}: {replica.veto_refusal or 'it has ended since'}"
                    for replica in replicas
                    if replica.veto_refusal or not replica.veto
                )
            await asyncio.sleep(DECIDE_LOOK_S)
        return f"not every replica has answered within {DECIDE_S:g} s: ask again"

    async def _written(self, veto: Veto) -> str:
        try:
            await asyncio.to_thread(files.write, self._directory, IN_FORCE, veto)
        except OSError as error:
            return f"it cannot be written ({error.strerror or error}), and would not be kept"
        self._written_ms = now_ms()
        return ""

    def _back(self) -> None:
        """As it was before: none, or the one in force, which some replicas have exchanged."""
        old = self._veto
        self._tell(VetoPutBack(old.text, self._end_ms) if old else VetoEnded())

    async def _release(self) -> str:
        try:
            await asyncio.to_thread(files.forget, self._directory, IN_FORCE)
        except OSError as error:
            return f"its file cannot be removed ({error.strerror or error}): it goes on"
        self._veto = None
        self._tell(VetoEnded())
        return ""

    def _tell(self, event: Event) -> None:
        for worker in self._workers():
            worker.mailbox.put(event)

    async def _count(self) -> None:
        """Its time goes by; what no replica should know any more is ended again."""
        if self._veto is None:
            if any(worker.settled.veto for worker in self._workers()):
                self._tell(VetoEnded())
            return
        left_ms = self._end_ms - now_ms()
        if left_ms <= 0:
            log.info("the hold of this host is over: its time has gone by", by=self._veto.by)
            await self._release()
        elif now_ms() - self._written_ms >= WRITE_EVERY_MS:
            await self._written(replace(self._veto, left_ms=left_ms))
