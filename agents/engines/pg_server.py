"""The running server: started, signalled and ended through its guard, asked over its socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import asyncpg

from agents.engines.base import EngineBusy, EngineError
from agents.engines.pg_directory import write_whole
from agents.engines.pg_offloop import to_the_end
from agents.engines.pg_session import Look, Session, look
from agents.engines.pg_settings import CHANGEABLE, Changeable, PostgresConfig, argv, render
from agents.engines.pg_tools import ENVIRONMENT
from agents.guard.client import (
    GuardBusy,
    GuardClient,
    GuardGone,
    GuardRefused,
    GuardStatus,
    now_ms,
    patiently,
)
from agents.guard.engine import EngineLock

LOOK_LIMIT_MS = 500
POLL_S = 0.005
SHOW_CHANGEABLE = "SELECT " + ", ".join(f"current_setting('{name}')" for name in CHANGEABLE)
RELOAD_LIMIT_MS = 3000
GUARD_KILL_LIMIT_MS = 1000
LEFTOVER_LIMIT_MS = 5000
LOG_LIMIT_BYTES = 16 * 1024 * 1024
NOT_ACCEPTING = (
    OSError,
    asyncpg.CannotConnectNowError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
)
NO_ANSWER = (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


class Server:
    """The process and our connections to it. Errors are EngineError and EngineBusy."""

    def __init__(self, config: PostgresConfig, isolation: str) -> None:
        self._config = config
        self._lock = EngineLock(str(config.data.resolve()), str(config.run.resolve()))
        self.guard = GuardClient(config.run, config.data, isolation)
        self.looking = Session(config, lesser=True)
        self.probing = Session(config, lesser=True)
        self.changing = Session(config)
        self.tending = Session(config)

    async def status(self) -> GuardStatus | None:
        """None when no guard lives."""
        with guard_errors():
            try:
                return await self.guard.status()
            except GuardGone:
                return None

    async def runs(self) -> bool:
        """Some process of the engine is there, the guard's or one that outlived it."""
        status = await self.status()
        return bool(status and status.engine) or not self._lock.free()

    def gone(self) -> bool:
        """No process of it is left, whoever started it."""
        return self._lock.free()

    async def need_gone(self) -> None:
        if await self.runs():
            raise EngineError(f"{self._config.data}: an engine runs on it; stop it first")

    async def need_permission(self) -> None:
        status = await self.status()
        if status is None or status.permission == "closed":
            raise EngineError(f"{self._config.service}: no lease, so it may run as a standby only")

    async def start(self, as_primary: bool, major: int) -> None:
        self.cut()
        command, log = argv(self._config, major), self._config.log
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(log.with_name(log.name + ".1"))
        with guard_errors():
            await patiently(
                lambda: self.guard.start(command, ENVIRONMENT, log, as_primary), timeout_ms=5000
            )

    async def stop(self, timeout_ms: int) -> None:
        """In order: clients are sent away, a checkpoint is written, the backup gets the rest."""
        self.cut()
        status = await self.status()
        if status is None or status.engine is None:
            return
        try:
            with guard_errors():
                await self.guard.signal("SIGINT")
                await self.guard.wait_engine_gone(max(1, timeout_ms))
        except TimeoutError:
            raise EngineBusy(f"{self._config.service}: not stopped in {timeout_ms} ms") from None

    async def kill(self) -> int:
        """Returns when no process is left, with the milliseconds that took."""
        self.cut()
        with guard_errors():
            try:
                return await self.guard.kill(GUARD_KILL_LIMIT_MS)
            except (GuardGone, GuardBusy):
                return await self.end_processes()

    async def end_processes(self) -> int:
        """The same past the guard, by the lock that every process of the engine holds."""
        self.cut()
        started_ms = now_ms()
        while not self._lock.free():
            await to_the_end(self._lock.kill_holders)
            if now_ms() > started_ms + LEFTOVER_LIMIT_MS:
                raise EngineBusy(f"{self._config.data}: a killed process of it does not end")
            await asyncio.sleep(POLL_S)
        return now_ms() - started_ms

    async def until_standby_is(self, wanted: bool | None, timeout_ms: int) -> None:
        """Until it answers and is a standby or not, or either. TimeoutError, or how it ended."""
        async with asyncio.timeout(max(1, timeout_ms) / 1000):
            while True:
                if self._accepts() and await self._standby_is(wanted):
                    return
                status = await self.status()
                if status is None or status.engine is None:
                    raise EngineError(f"{self._config.service}: it ended: {self._last_words()}")
                await asyncio.sleep(POLL_S)

    def _accepts(self) -> bool:
        """As the first process writes it: asking a file is cheaper than being turned away."""
        try:
            lines = (self._config.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[7].strip() in ("ready", "standby")

    async def _standby_is(self, wanted: bool | None) -> bool:
        try:
            row = await self.looking.row("SELECT pg_is_in_recovery()", timeout_ms=LOOK_LIMIT_MS)
        except NO_ANSWER:
            return False
        return wanted is None or row[0] is wanted

    def _last_words(self) -> str:
        log = self._config.log
        with contextlib.suppress(OSError), log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 1000))
            return file.read().decode(errors="replace").strip()
        return f"nothing in {log}"

    async def looked(self) -> Look:
        try:
            return await look(self.looking, LOOK_LIMIT_MS)
        except NO_ANSWER as error:
            raise EngineBusy(f"{self._config.service}: does not answer ({error!r})") from None

    async def reload(self, values: Changeable) -> None:
        """Returns when these values are in force, or stand ready for the next start."""
        text = render(self._config, values)
        await to_the_end(write_whole, self._config.config_file, text)
        status = await self.status()
        if status is None or status.engine is None:
            return
        with guard_errors():
            await self.guard.signal("SIGHUP")
        wanted = [values.conninfo, values.slot, values.sync]
        until_ms = now_ms() + RELOAD_LIMIT_MS
        while (found := await self._in_force()) != wanted:
            if now_ms() > until_ms:
                raise EngineError(
                    f"{self._config.config_file}: in force is {found}, not {wanted}; ALTER SYSTEM"
                    " beats this file: use ALTER SYSTEM RESET for these settings"
                )
            await asyncio.sleep(POLL_S)

    async def until_receiver_gone(self, timeout_ms: int) -> None:
        """Until nothing is received from an upstream any more. EngineBusy when time is up."""
        sql = "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)"
        until_ms = now_ms() + timeout_ms
        while not (await self._asked(sql))[0]:
            if now_ms() > until_ms:
                raise EngineBusy(f"{self._config.service}: its receiver goes on, {timeout_ms} ms")
            await asyncio.sleep(POLL_S)

    async def clients(self) -> int:
        """Sessions of others than Saling. EngineBusy."""
        sql = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        row = await self._asked(f"{sql} AND application_name <> 'saling'")
        return int(row[0])

    async def _in_force(self) -> list[str]:
        return list(await self._asked(SHOW_CHANGEABLE))

    async def _asked(self, sql: str) -> Any:
        try:
            return await self.looking.row(sql, timeout_ms=LOOK_LIMIT_MS)
        except NO_ANSWER as error:
            raise EngineBusy(f"{self._config.service}: does not answer ({error!r})") from None

    def cut(self) -> None:
        """Drop all connections without a goodbye."""
        for session in (self.looking, self.probing, self.changing, self.tending):
            session.cut()

    async def close(self) -> None:
        self.cut()
        await self.guard.close()


@contextlib.contextmanager
def guard_errors() -> Iterator[None]:
    """The guard's errors as an engine's."""
    try:
        yield
    except GuardRefused as error:
        raise EngineError(f"the guard refused: {error}") from None
    except (GuardBusy, GuardGone) as error:
        raise EngineBusy(str(error)) from None
