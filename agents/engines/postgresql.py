"""PostgreSQL 15 to 18 as an engine: one copy, run by its guard, looked at over its socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

import asyncpg

from agents.core.observation import Disk, Observation, Probe
from agents.engines import pg_copy, pg_quarantine, pg_rejoin, pg_rest_of_log
from agents.engines.base import (
    Aside,
    Engine,
    EngineBusy,
    EngineError,
    LogPoint,
    LogSource,
    OnProgress,
    Rejoined,
    Turn,
    Upstream,
    Waits,
    at_once,
)
from agents.engines.pg_compare import mismatches
from agents.engines.pg_directory import Directory, write_if_other, write_whole
from agents.engines.pg_hba import hba_text, ident_text
from agents.engines.pg_offloop import to_the_end
from agents.engines.pg_roles import passfile_text, read_passwords
from agents.engines.pg_running import need_none_else
from agents.engines.pg_server import (
    LOOK_LIMIT_MS,
    NO_ANSWER,
    NOT_ACCEPTING,
    Server,
    guard_errors,
)
from agents.engines.pg_session import change, look, probe, provision, running
from agents.engines.pg_settings import (
    Changeable,
    PostgresConfig,
    check,
    read_back,
    render,
)
from agents.engines.pg_slots import ensure_slot_sql
from agents.engines.pg_stranded import why_stranded
from agents.engines.pg_tools import ControlData, Tools
from agents.engines.pg_waits import WaitWatch
from agents.engines.pg_wal import record_end, written_end
from agents.guard.client import now_ms
from protocol.messages import Role

STANDBY_START_LIMIT_MS = 3000
RECEIVER_LIMIT_MS = 2000


class PostgreSQL(Engine):
    """See `agents.engines.base.Engine`. `guard` is open to the agent, who extends its lease."""

    def __init__(self, config: PostgresConfig, isolation: str = "auto") -> None:
        check(config)
        self.config = config
        self._server = Server(config, isolation)
        self.guard = self._server.guard
        self._directory = Directory(config.data)
        self._tools = Tools(config.binaries, config.data)
        self._working = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._waits = WaitWatch(config, self._server.tending)
        self._control: tuple[tuple[int, int], ControlData] | None = None

    async def observe(self) -> Observation:
        """Also mends what a dead agent left: a copy at rest is always a standby."""
        disk = self._directory.disk()
        if not await self._server.runs():
            need_none_else(self.config.data)
            return await self._observe_down(disk)
        try:
            seen = await look(self._server.looking, LOOK_LIMIT_MS)
        except TimeoutError:
            raise EngineBusy(f"{self.config.service}: no answer in {LOOK_LIMIT_MS} ms") from None
        except NOT_ACCEPTING:
            # It may have died under the question.
            if not await self._server.runs():
                return await self._observe_down(disk)
            return Observation(role=Role.STARTING, disk=disk)
        except asyncpg.PostgresError as error:
            raise EngineBusy(f"{self.config.service}: {error}") from None
        if not seen.standby:
            self._mend_standby(disk)
        return running(seen, disk)

    def _mend_standby(self, disk: Disk) -> None:
        if disk is Disk.DATA and not self._working.locked():
            self._directory.make_standby()

    async def _observe_down(self, disk: Disk) -> Observation:
        if disk is not Disk.DATA:
            return Observation(role=Role.DOWN, disk=disk)
        self._mend_standby(disk)
        control = await self._control_data()
        unread = 0 if control.clean else await asyncio.to_thread(self._unread_bytes, control)
        return Observation(
            role=Role.DOWN,
            disk=disk,
            system_identifier=control.system_identifier,
            timeline=control.timeline,
            position_bytes=max(control.checkpoint_bytes, control.recovery_end_bytes),
            recovery_bytes=unread,
            clean=control.clean,
        )

    async def _control_data(self) -> ControlData:
        stat = (self.config.data / "global" / "pg_control").stat()
        key = (stat.st_mtime_ns, stat.st_ino)
        if self._control is None or self._control[0] != key:
            self._control = (key, await self._tools.control_data())
        return self._control[1]

    def _unread_bytes(self, control: ControlData) -> int:
        """0 as well when its log is gone: then the start will say so."""
        redo, size = control.redo_bytes, control.segment_bytes
        with contextlib.suppress(OSError):
            return written_end(self.config.data, control.timeline, redo, size) - redo
        return 0

    async def probe(self, timeout_ms: int) -> Probe:
        """Commit one row locally. Never raises for a sick database."""
        return await probe(self._server.probing, self.config.service, timeout_ms)

    async def create(self) -> str:
        """A new database with our roles, stopped; returns its system identifier."""
        async with self._working:
            await self._server.need_gone()
            await self._tools.major()
            return await pg_copy.create(self._tools, self._directory, self.config)

    async def seed(self, upstream: Upstream, on_progress: OnProgress, turn: Turn = at_once) -> None:
        """Copy the upstream, stopped. EngineBusy while its slot is not there yet."""
        async with self._working:
            await self._server.need_gone()
            await self._tools.major()
            await self._write_passfile()
            parts = (self._tools, self._directory, self.config)
            await pg_copy.seed(*parts, upstream, on_progress, turn)

    async def rejoin(
        self, upstream: Upstream, on_progress: OnProgress, turn: Turn = at_once
    ) -> Rejoined:
        """Make the stopped copy able to follow the upstream, which is a primary by now."""
        async with self._working:
            await self._server.need_gone()
            self._directory.need_data()
            await self._need_version()
            await self._write_passfile()
            parts = pg_rejoin.Parts(self._tools, self._directory, self.config)
            return await pg_rejoin.rejoin(parts, upstream, on_progress, turn)

    async def stranded(self, upstream: Upstream) -> str:
        """From the upstream's own files and the position that this standby has replayed.

        That it streams says nothing: it seems so for a moment whenever it tries in vain.
        """
        seen = await self._server.looked()
        if not seen.standby:
            return ""
        size = (await self._control_data()).segment_bytes
        return await why_stranded(self.config, upstream, seen, size)

    async def aside(self) -> Aside:
        """What stands beside the data directory, and in the quarantine."""
        root, service = self.config.quarantine_root, self.config.service
        return Aside(
            quarantines=tuple(await asyncio.to_thread(pg_quarantine.all_in, root, service)),
            old_copies=tuple(self._directory.old_copies()),
            kept_copies=tuple(self._directory.kept_copies()),
        )

    async def forget_old_copy(self) -> None:
        """Remove what was kept aside. EngineBusy while the new copy does not stream."""
        async with self._working:
            if not self._directory.old_copies():
                return
            if not (await self._server.looked()).streaming:
                raise EngineBusy(f"{self.config.data}: streams nothing yet, the old copy stays")
            copies = self._directory.old_copies()
        # It may take minutes, and a promotion must not wait for it.
        await asyncio.to_thread(self._directory.remove, copies)

    async def start_standby(self, upstream: Upstream | None) -> None:
        """Returns when it answers, or after 3 s of replaying; `observe` tells which."""
        async with self._working:
            await self._prepare_start(read_back(self.config).following(self.config, upstream))
            await asyncio.to_thread(self._directory.make_standby)
            await self._server.start(as_primary=False, major=await self._tools.major())
            with contextlib.suppress(TimeoutError):
                await self._server.until_standby_is(None, STANDBY_START_LIMIT_MS)

    async def start_primary(self, timeout_ms: int) -> None:
        """Returns when it is writable. At rest it is a standby again."""
        async with self._working:
            until_ms = now_ms() + timeout_ms
            await self._prepare_start(read_back(self.config).following(self.config, None))
            await self._server.need_permission()
            await asyncio.to_thread(self._directory.make_primary)
            try:
                await self._server.start(as_primary=True, major=await self._tools.major())
                await self._server.until_standby_is(False, until_ms - now_ms())
            except TimeoutError:
                # It may not have read its files yet: `observe` makes it a standby at rest.
                raise EngineBusy(f"{self.config.service}: not up in {timeout_ms} ms") from None
            except EngineError:
                if self._server.gone():
                    await asyncio.to_thread(self._directory.make_standby)
                raise
            await asyncio.to_thread(self._directory.make_standby)

    async def promote(self, timeout_ms: int) -> None:
        """Returns when the running standby is writable; at once if it is already."""
        async with self._working:
            with guard_errors():
                await self.guard.allow_promotion()
            if (await self._server.looked()).standby:
                (self.config.data / "promote").touch(mode=0o600)
                with guard_errors():
                    await self.guard.signal("SIGUSR1")
            try:
                await self._server.until_standby_is(False, timeout_ms)
            except TimeoutError:
                raise EngineBusy(f"{self.config.service}: no primary in {timeout_ms} ms") from None
            await asyncio.to_thread(self._directory.make_standby)

    async def follow(self, upstream: Upstream | None) -> None:
        """Without a restart. EngineError when ALTER SYSTEM stands against it."""
        async with self._working:
            await self._write_passfile()
            await self._server.reload(read_back(self.config).following(self.config, upstream))

    async def set_sync(self, name: str | None) -> None:
        """Survives restarts of agent and engine. Errors as `follow`."""
        async with self._working:
            await self._server.reload(read_back(self.config).waiting_for(name))

    async def upkeep(self) -> None:
        """Take up passwords and rules that changed; roles as well while it is a primary."""
        if self._working.locked() or not await self._server.runs():
            return
        passwords = read_passwords(self.config)
        await self._write_passfile()
        if await self._write_hba():
            with guard_errors():
                await self.guard.signal("SIGHUP")
        await provision(self._server.tending, passwords)

    async def unfit(self, upstream: Upstream) -> tuple[str, ...]:
        """What keeps the running standby from being trusted with the service."""
        return await mismatches(self.config, upstream.address)

    async def ensure_slot(self, name: str) -> None:
        """A slot of this name that keeps log from now on."""
        async with self._working:
            what = f"{self.config.service}: slot {name} cannot be made"
            await change(self._server.changing, ensure_slot_sql(name), what)

    async def rest_of_log(self, point: LogPoint) -> tuple[int, AsyncIterator[bytes]]:
        """Of a copy that is fenced: dead, or a standby. Waits for nothing that is going on."""
        self._directory.need_data()
        control = await self._tools.control_data()
        data, size = self.config.data, control.segment_bytes
        identifier = control.system_identifier
        end = await asyncio.to_thread(pg_rest_of_log.end_of_log, data, identifier, point, size)
        return end - point.begin_bytes, pg_rest_of_log.read_log(data, point, end, size)

    async def take_log(self, source: LogSource) -> int:
        """What it received before, and what comes now, is replayed before any promotion."""
        async with self._working:
            await self._server.reload(read_back(self.config).following(self.config, None))
            await self._server.until_receiver_gone(RECEIVER_LIMIT_MS)
            seen = await self._server.looked()
            if not seen.standby:
                raise EngineError(f"{self.config.service}: is no standby, so it takes no log")
            data, size = self.config.data, (await self._control_data()).segment_bytes
            point = pg_rest_of_log.end_of_standby(data, seen.system_identifier, seen.position, size)
            async with source(point) as chunks:
                return await pg_rest_of_log.write_log(data, point, chunks, size)

    async def weakness(self) -> Waits:
        """Of the server's settings, and those of roles and databases."""
        return await self._waits.weakness()

    async def cancelled_waits(self) -> int:
        """Counted in the server's own log."""
        return await self._waits.cancelled()

    async def connections(self) -> int:
        """As the server's activity shows them."""
        return await self._server.clients()

    async def other_slots(self, name: str) -> tuple[str, ...]:
        """Names with how much log each holds back; slots that are not Saling's are the DBA's."""
        try:
            row = await self._server.looking.row(
                "SELECT array_agg(slot_name || ' ('"
                " || pg_size_pretty(pg_current_wal_lsn() - restart_lsn) || ')' ORDER BY 1)"
                " FROM pg_replication_slots WHERE slot_name <> $1 AND NOT temporary"
                " AND starts_with(slot_name, 'saling_') AND restart_lsn IS NOT NULL",
                name,
                timeout_ms=LOOK_LIMIT_MS,
            )
        except NO_ANSWER as error:
            raise EngineBusy(f"{self.config.service}: does not answer ({error!r})") from None
        return tuple(row[0] or ())

    async def drain(self, timeout_ms: int) -> int:
        """Stop in order; the end of the shutdown's record. EngineBusy if it did not end so."""
        async with self._working:
            until_ms = now_ms() + timeout_ms
            # What is flushed now need not be flushed while nobody can write.
            what = f"{self.config.service}: no checkpoint before the stop"
            await change(self._server.changing, "CHECKPOINT", what, timeout_ms=timeout_ms)
            await self._server.stop(until_ms - now_ms())
            control = await self._tools.control_data()
            if control.state != "shut down":
                raise EngineBusy(f"{self.config.service}: ended, but not in order: {control.state}")
            start, size = control.checkpoint_bytes, control.segment_bytes
            return record_end(self.config.data, control.timeline, start, size)

    async def stop(self, timeout_ms: int) -> None:
        """Stop in order. EngineBusy when it is not done in time; it goes on stopping."""
        async with self._working:
            await self._server.stop(timeout_ms)

    async def kill(self) -> int:
        """The fence. Waits for nothing else that is going on."""
        return await self._server.kill()

    async def end_processes(self) -> int:
        """Kill whatever runs on the data, and ask no guard."""
        return await self._server.end_processes()

    async def close(self) -> None:
        """Let go of connections. The engine and its guard go on."""
        self._waits.close()
        await self._server.close()

    async def _need_version(self) -> None:
        major = await self._tools.major()
        said = (self.config.data / "PG_VERSION").read_text().strip()
        if said != str(major):
            raise EngineError(
                f"{self.config.data}: is of PostgreSQL {said}, but {self.config.binaries} is"
                f" {major}; set the directory of the binaries"
            )

    async def _prepare_start(self, values: Changeable) -> None:
        self._directory.need_data()
        await self._need_version()
        if not self._tools.idle():
            raise EngineBusy(f"{self.config.data}: a program of PostgreSQL still works on it")
        need_none_else(self.config.data)
        with guard_errors():
            status = await self.guard.ensure_running()
        await self._server.need_gone()
        if status.isolation == "plain":
            if os.geteuid() == 0:
                raise EngineError(
                    f"{self.config.service}: PostgreSQL does not run as root, and namespaces are"
                    " not allowed here; run the agent as the owner of the data, or allow them"
                )
            self._directory.forget_dead_server()
        self.config.sockets.mkdir(mode=0o700, exist_ok=True)
        self.config.sockets.chmod(0o700)
        # A dead server's lock file may name a pid that lives again, and would be believed.
        for left in self.config.sockets.iterdir():
            left.unlink()
        await self._write_passfile()
        await self._write_hba()
        await asyncio.to_thread(self._directory.prepare, self.config)
        await to_the_end(write_whole, self.config.config_file, render(self.config, values))

    async def _write_passfile(self) -> None:
        self.config.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = passfile_text(read_passwords(self.config))
        async with self._writing:
            await to_the_end(write_if_other, self.config.passfile, text)

    async def _write_hba(self) -> bool:
        text = hba_text(self.config, await self._tools.major())
        ident = ident_text(self.config, await self._tools.major())
        async with self._writing:
            changed = await to_the_end(write_if_other, self.config.hba_file, text)
            return await to_the_end(write_if_other, self.config.ident_file, ident) or changed
