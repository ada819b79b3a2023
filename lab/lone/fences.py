"""How long a fence takes: a guard and an engine with busy connections, again and again.

No agent: this process tells the guard what the engine may do. Half of the fences begin because
the permission is closed, half because its deadline passes.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import asyncpg

from agents.engines.pg_roles import SUPERUSER
from agents.engines.pg_settings import PostgresConfig
from agents.engines.postgresql import PostgreSQL
from agents.guard.client import Fence, GuardEvent
from agents.guard.client import now_ms as guard_now_ms
from agents.spread import Spread
from lab.base.plan import ENGINE_SETTINGS, Plan
from lab.base.processes import Child, end_all, processes_in
from lab.base.records import now_ms
from lab.clients.busy import APPLICATION, busy_child
from lab.lone.lone_agent import LOOK_AGAIN_S, Ends

BUSY_CONNECTIONS = 20
START_LIMIT_MS = 30_000
GONE_LIMIT_S = 30.0
BUSY_LIMIT_S = 30.0
WRITES_FOR_LEAST_MS, WRITES_FOR_MOST_MS = 20, 150
TOLD_LIMIT_S = 5.0
BUSY_SQL = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND query LIKE 'INSERT%'"
)

FenceSpreads = dict[str, tuple[Spread, Spread]]
"""By how it began: until the last process was seen to be gone, and what the guard said."""


async def measure_fences(
    directory: Path, binaries: Path, isolation: str, count: int, seed: int
) -> FenceSpreads:
    """So many fences. Raises TimeoutError, EngineError, GuardError."""
    directory.mkdir()
    password = directory / "password"
    password.touch(0o600)
    password.write_text("not used over the socket")
    config = PostgresConfig(
        service="fences",
        data=directory / "data",
        run=directory / "run",
        binaries=binaries,
        listen=Plan(directory, ()).address("engine fences alone"),
        password_file=password,
        settings=ENGINE_SETTINGS,
    )
    engine = PostgreSQL(config, "auto" if isolation == "namespace" else "plain")
    load = busy_child(directory, config.sockets, config.port, BUSY_CONNECTIONS)
    try:
        await engine.create()
        await engine.guard.ensure_running()
        load.start()
        return await _Fencer(engine, load, seed).measure(count)
    finally:
        await load.end()
        await engine.close()
        await end_all(directory)


class _Fencer:
    def __init__(self, engine: PostgreSQL, load: Child, seed: int) -> None:
        self._engine = engine
        self._load = load
        self._random = random.Random(seed)
        self._fences: asyncio.Queue[Fence] = asyncio.Queue(16)
        engine.guard.add_listener(self._hear)

    async def measure(self, count: int) -> FenceSpreads:
        spreads: FenceSpreads = {"closed": (Spread(), Spread()), "deadline": (Spread(), Spread())}
        for number in range(count):
            await self._engine.guard.alone()
            await self._engine.start_primary(START_LIMIT_MS)
            await self._until_busy()
            by = "deadline" if number % 2 else "closed"
            fence = self._pass_deadline if by == "deadline" else self._close
            seen_ms, told_ms = await fence(
                self._random.randrange(WRITES_FOR_LEAST_MS, WRITES_FOR_MOST_MS)
            )
            spreads[by][0].add(round(seen_ms))
            spreads[by][1].add(told_ms)
        return spreads

    async def _close(self, after_ms: int) -> tuple[float, int]:
        await asyncio.sleep(after_ms / 1000)
        ends = Ends(self._processes())
        begun_ms = now_ms()
        told = asyncio.create_task(self._engine.guard.close_permission())
        gone_ms = await ends.last_ms(GONE_LIMIT_S)
        return gone_ms - begun_ms, await told

    async def _pass_deadline(self, after_ms: int) -> tuple[float, int]:
        ends = Ends(self._processes())
        deadline_ms = await self._engine.guard.lease(guard_now_ms() + after_ms)
        gone_ms = await ends.last_ms(GONE_LIMIT_S)
        async with asyncio.timeout(TOLD_LIMIT_S):
            fence = await self._fences.get()
        return max(0.0, gone_ms - deadline_ms), fence.late_ms + fence.kill_ms

    async def _until_busy(self) -> None:
        """Every connection has written in this life of the engine."""
        end_ms = now_ms() + BUSY_LIMIT_S * 1000
        while now_ms() < end_ms:
            if await self._busy_sessions() >= BUSY_CONNECTIONS:
                return
            await asyncio.sleep(LOOK_AGAIN_S)
        raise TimeoutError(f"the connections are not busy again\n{self._load.last_words()}")

    async def _busy_sessions(self) -> int:
        config = self._engine.config
        connection = await asyncpg.connect(
            host=str(config.sockets),
            port=config.port,
            user=SUPERUSER,
            database="postgres",
            timeout=BUSY_LIMIT_S,
            command_timeout=BUSY_LIMIT_S,
        )
        try:
            return int(await connection.fetchval(BUSY_SQL, APPLICATION))
        finally:
            connection.terminate()

    def _processes(self) -> list[int]:
        return processes_in(self._engine.config.data)

    def _hear(self, event: GuardEvent) -> None:
        if isinstance(event, Fence):
            self._fences.put_nowait(event)
