"""How a copy comes to be: created, seeded from the upstream, or made to follow it again.

None of this starts the server or needs a lease; the agent starts the copy afterwards.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import asyncpg
from msgspec import Struct
from msgspec.structs import replace

from agents.core.observation import Disk
from agents.engines.base import (
    EngineBusy,
    EngineError,
    OnProgress,
    Progress,
    Rejoined,
    Return,
    Upstream,
)
from agents.engines.pg_directory import Directory
from agents.engines.pg_roles import (
    REWIND_USER,
    SUPERUSER,
    provision_sql,
    read_passwords,
)
from agents.engines.pg_session import upstream_session
from agents.engines.pg_settings import PostgresConfig, conninfo, settings_given
from agents.engines.pg_tools import ControlData, ToolFailed, Tools
from agents.engines.pg_wal import (
    Fork,
    last_timeline,
    own_history,
    parse_history,
    record_end,
    written_end,
)

INITDB_LIMIT_S = 120
SQL_LIMIT_S = 10
CHECKPOINT_LIMIT_S = 300

PERMANENT = re.compile(
    r"authentication failed|no pg_hba\.conf entry|permission denied|must be superuser"
    r"|No space left|different system|incompatible|not supported|does not match"
)
UNREACHABLE = re.compile(
    r"could not connect|connection to server|server closed the connection|terminating connection"
    r"|could not receive|could not send|timeout expired"
)
REWIND_WROTE = "rewinding from last common checkpoint"
REWIND_NEEDLESS = "no rewind required"


class Remote(Struct, frozen=True):
    """The upstream as it says itself. `history`: the timelines before its present one."""

    system_identifier: str
    timeline: int
    history: list[Fork]


async def create(tools: Tools, directory: Directory, config: PostgresConfig) -> str:
    """A new database with our roles; returns its system identifier."""
    directory.need_nothing()
    made = await asyncio.to_thread(directory.fresh, directory.creating)
    await tools.run(
        "initdb",
        *("-D", str(made), "-U", SUPERUSER, "--encoding=UTF8", "--locale=C", "--data-checksums"),
        *("--auth-local=peer", "--auth-host=scram-sha-256"),
        timeout_s=INITDB_LIMIT_S,
    )
    await tools.run(
        "postgres",
        *("--single", "-D", str(made), "-c", "exit_on_error=on"),
        *settings_given(config, await tools.major()),
        "postgres",
        timeout_s=INITDB_LIMIT_S,
        stdin=provision_sql(read_passwords(config)).encode(),
    )
    identifier = (await tools.control_data_of(made)).system_identifier
    await asyncio.to_thread(directory.put_in_place, made)
    return identifier


async def seed(
    tools: Tools,
    directory: Directory,
    config: PostgresConfig,
    upstream: Upstream,
    on_progress: OnProgress,
) -> None:
    """Copy the upstream. A copy that pg_rewind left half done is kept aside, not removed."""
    half_rewound = directory.disk() is Disk.PARTIAL and any(directory.data.glob("*"))
    if not half_rewound:
        directory.need_nothing()
    await _copy(tools, directory, config, upstream, on_progress)
    if half_rewound:
        await asyncio.to_thread(directory.move_aside)
    await asyncio.to_thread(directory.put_in_place, directory.seeding)


async def _copy(
    tools: Tools,
    directory: Directory,
    config: PostgresConfig,
    upstream: Upstream,
    on_progress: OnProgress,
) -> None:
    remote = await ask(config, upstream, checkpoint=False)
    _same_system(upstream, remote.system_identifier)
    made = await asyncio.to_thread(directory.fresh, directory.seeding)
    rate = [f"--max-rate={config.seed_rate_kib_s}"] if config.seed_rate_kib_s else []
    try:
        await tools.run(
            "pg_basebackup",
            *("-D", str(made), "-d", conninfo(config, upstream), "--slot", upstream.slot),
            *("--wal-method=stream", "--checkpoint=fast", "--progress", "--no-password", *rate),
            timeout_s=None,
            on_line=lambda line: _tell_copied(line, on_progress),
        )
    except ToolFailed as failure:
        raise _kind_of(failure)(f"seeding from {upstream.address}: {failure}") from None
    copied = (await tools.control_data_of(made)).system_identifier
    _same_system(upstream, copied)


def _tell_copied(line: str, on_progress: OnProgress) -> None:
    if found := re.search(r"(\d+)/(\d+) kB", line):
        done, total = int(found[1]) * 1024, int(found[2]) * 1024
        on_progress(Progress(doing="copying the upstream", done_bytes=done, total_bytes=total))


async def rejoin(
    tools: Tools,
    directory: Directory,
    config: PostgresConfig,
    upstream: Upstream,
    on_progress: OnProgress,
) -> Rejoined:
    """Follow if nothing diverged, else rewind, else copy anew and keep the old copy aside."""
    directory.need_data()
    control = await tools.control_data()
    # Its checkpoint comes first: pg_rewind reads the timeline from there, and with an older one
    # it finds nothing to do and leaves the diverged rows.
    remote = await ask(config, upstream, checkpoint=True)
    _same_system(upstream, remote.system_identifier)
    if control.system_identifier != remote.system_identifier:
        raise EngineError(
            f"{directory.data}: a copy of system {control.system_identifier}, but"
            f" {upstream.address} is {remote.system_identifier}; name the right data directory"
        )
    diverged = _diverged_bytes(directory, control, remote)
    if diverged == 0:
        return Rejoined(how=Return.FOLLOWS)
    on_progress(Progress(doing="rewinding", total_bytes=max(diverged, 0)))
    if await _rewind(tools, directory, config, upstream, remote):
        return Rejoined(how=Return.REWOUND, diverged_bytes=max(diverged, 0))
    await _copy(tools, directory, config, upstream, on_progress)
    old_copy = await asyncio.to_thread(directory.move_aside)
    await asyncio.to_thread(directory.put_in_place, directory.seeding)
    return Rejoined(how=Return.RESEEDED, diverged_bytes=max(diverged, 0), old_copy=old_copy)


def _diverged_bytes(directory: Directory, control: ControlData, remote: Remote) -> int:
    """Log of our own after the fork, 0 if none, -1 if it cannot be told.

    Exact after an orderly stop, else up to a page more, as the last page may be half empty.
    """
    ordered = control.state == "shut down"
    data, start, size = directory.data, control.checkpoint_bytes, control.segment_bytes
    try:
        timeline = control.timeline if ordered else max(control.timeline, last_timeline(data))
        if timeline == remote.timeline:
            # Two reigns may have begun a timeline of the same number at different points.
            return 0 if own_history(data, timeline) == remote.history else -1
        fork = next(fork.end_bytes for fork in remote.history if fork.timeline == timeline)
        end = (record_end if ordered else written_end)(data, timeline, start, size)
    except (OSError, ValueError, StopIteration):
        return -1
    return max(0, end - fork)


async def _rewind(
    tools: Tools,
    directory: Directory,
    config: PostgresConfig,
    upstream: Upstream,
    remote: Remote,
) -> bool:
    """True if the copy follows the upstream's timeline now; False if it must be made anew."""
    await asyncio.to_thread(directory.rewinding)
    # It replays a crash by a single-user server, which refuses to be a standby.
    await asyncio.to_thread(directory.make_primary)
    directory.forget_dead_server()
    source = f"{conninfo(config, replace(upstream, user=REWIND_USER))} dbname=postgres"
    try:
        said = await tools.run(
            "pg_rewind",
            *("--target-pgdata", str(directory.data), "--source-server", source, "--progress"),
            timeout_s=None,
        )
    except ToolFailed as failure:
        if REWIND_WROTE in failure.said:
            return False
        await asyncio.to_thread(_whole_again, directory)
        if UNREACHABLE.search(failure.said):
            raise EngineBusy(f"rewinding from {upstream.address}: {failure}") from None
        return False
    await asyncio.to_thread(_whole_again, directory)
    control = await tools.control_data()
    if REWIND_NEEDLESS in said:
        return _diverged_bytes(directory, control, remote) == 0
    return control.timeline == remote.timeline


def _whole_again(directory: Directory) -> None:
    directory.make_standby()
    directory.rewound()


async def ask(config: PostgresConfig, upstream: Upstream, checkpoint: bool) -> Remote:
    """The upstream's own words, as saling_rewind. EngineBusy when it cannot be reached."""
    try:
        async with asyncio.timeout(CHECKPOINT_LIMIT_S if checkpoint else SQL_LIMIT_S):
            async with upstream_session(config, upstream.address) as connection:
                return await _ask(connection, checkpoint)
    except (TimeoutError, OSError, asyncpg.InterfaceError) as error:
        raise EngineBusy(f"{upstream.address}: cannot be reached ({error!r})") from None
    except asyncpg.PostgresError as error:
        lasting = str(error.sqlstate).startswith(("28", "42"))
        raise (EngineError if lasting else EngineBusy)(f"{upstream.address}: {error}") from None


async def _ask(connection: Any, checkpoint: bool) -> Remote:
    if await connection.fetchval("SELECT pg_is_in_recovery()"):
        raise EngineBusy("the upstream is not a primary yet")
    if checkpoint:
        await connection.execute("CHECKPOINT")
    row = await connection.fetchrow(
        "SELECT system_identifier::text AS system,"
        " ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int AS timeline"
        " FROM pg_control_system()"
    )
    history = b""
    if row["timeline"] > 1:
        name = f"pg_wal/{row['timeline']:08X}.history"
        history = await connection.fetchval("SELECT pg_read_binary_file($1)", name)
    return Remote(row["system"], row["timeline"], parse_history(history.decode()))


def _same_system(upstream: Upstream, found: str) -> None:
    if upstream.system_identifier and upstream.system_identifier != found:
        raise EngineError(
            f"{upstream.address}: is system {found}, not {upstream.system_identifier};"
            " another database answers there: check the address"
        )


def _kind_of(failure: ToolFailed) -> type[EngineError]:
    return EngineError if PERMANENT.search(failure.said) else EngineBusy
