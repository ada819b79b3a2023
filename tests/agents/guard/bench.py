"""A guard with a small program in the engine's place, for the tests of the guard."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.guard.client import GuardClient, GuardEvent, GuardGone, GuardStatus
from agents.replica.fencing import Fencing
from config.agent import Fences

FAMILY = "for i in 1 2 3; do setsid sleep 600 & done; wait"
"""Children in sessions of their own, as PostgreSQL's: killing the group would miss them."""

PATIENCE_MS = 20_000


def unfenced() -> Fencing:
    """No layer outside the guard is wanted."""
    wanted = Fences(nftables="off")
    return Fencing("paspor", wanted, "127.0.0.1:1", lambda: "", lambda _: None)


class PatientClient(GuardClient):
    """Waits longer than an agent would: a machine under load is no fault of a guard."""

    async def ensure_running(self, timeout_ms: int = PATIENCE_MS) -> GuardStatus:
        return await super().ensure_running(timeout_ms)

    async def _ask(self, request: str, timeout_ms: int, **fields: Any) -> bytes:
        return await super()._ask(request, max(timeout_ms, PATIENCE_MS), **fields)


class Bench:
    """A guard's directories, and how to see the processes of its engine."""

    def __init__(self, root: Path, isolation: str) -> None:
        self.root = root
        self.data = root / "data"
        self.run = root / "run"
        self.log = root / "engine.log"
        self.isolation = isolation
        self.data.mkdir()
        self.client = PatientClient(self.run, self.data, isolation)
        self.events: list[GuardEvent] = []
        self.client.add_listener(self.events.append)

    async def start(self, script: str = FAMILY, as_primary: bool = False) -> int:
        pid = await self.client.start(["/bin/sh", "-c", script], {}, self.log, as_primary)
        if script == FAMILY:
            await until(lambda: len(self.alive()) >= 4, "the engine has its children")
        return pid

    async def until_closed(self) -> None:
        while True:
            if (await self.client.status()).permission == "closed":
                return
            await asyncio.sleep(0.01)

    def alive(self) -> list[int]:
        """Processes that stand in the data directory; zombies have none."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if (entry / "cwd").readlink() == self.data.resolve():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    async def end(self) -> None:
        try:
            status = await self.client.status()
        except GuardGone:
            return
        await self.client.kill()
        os.kill(status.pid, signal.SIGKILL)
        await self.client.close()


async def until(holds: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 20
    while not holds():
        if time.monotonic() > end:
            pytest.fail(f"not within 20 s: {what}")
        await asyncio.sleep(0.005)
