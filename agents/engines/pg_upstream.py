"""The upstream as it says itself, asked as saling_rewind over the network.

Errors: EngineBusy when it cannot be reached, EngineError when it refuses for good.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
from msgspec import Struct

from agents.engines.base import EngineBusy, EngineError, Upstream
from agents.engines.pg_lineage import Span, lineage
from agents.engines.pg_session import upstream_session
from agents.engines.pg_settings import PostgresConfig
from agents.engines.pg_tablespaces import OUTSIDE
from agents.engines.pg_wal import Fork, format_lsn, parse_history, parse_lsn, segment_name

SQL_LIMIT_S = 10
CHECKPOINT_LIMIT_S = 300
TIMELINES_AT_MOST = 50
"""So many of the last timelines are looked through for one segment."""
DATABASES_AT_MOST = 20
"""Of so many are the names of relations asked."""


class Remote(Struct, frozen=True):
    """The upstream as it says itself. `history`: the timelines before its present one."""

    system_identifier: str
    timeline: int
    history: list[Fork]
    tablespaces: tuple[str, ...] = ()
    """Those outside its data directory, each with its place."""

    @property
    def lineage(self) -> list[Span]:
        return lineage(self.history, self.timeline)


@contextlib.asynccontextmanager
async def connected(
    config: PostgresConfig,
    upstream: Upstream,
    limit_s: float = SQL_LIMIT_S,
    database: str = "postgres",
) -> AsyncIterator[Any]:
    """A connection for at most so long."""
    try:
        async with asyncio.timeout(limit_s):
            async with upstream_session(config, upstream.address, database) as connection:
                yield connection
    except (TimeoutError, OSError, asyncpg.InterfaceError) as error:
        raise EngineBusy(f"{upstream.address}: cannot be reached ({error!r})") from None
    except asyncpg.PostgresError as error:
        lasting = str(error.sqlstate).startswith(("28", "42"))
        raise (EngineError if lasting else EngineBusy)(f"{upstream.address}: {error}") from None


async def ask(config: PostgresConfig, upstream: Upstream, checkpoint: bool) -> Remote:
    """Who it is and which timelines it went through. EngineBusy while it is no primary."""
    limit_s = CHECKPOINT_LIMIT_S if checkpoint else SQL_LIMIT_S
    async with connected(config, upstream, limit_s) as connection:
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
        outside = tuple(each["named"] for each in await connection.fetch(OUTSIDE))
    return Remote(row["system"], row["timeline"], parse_history(history.decode()), outside)


async def missing_log(
    config: PostgresConfig, upstream: Upstream, remote: Remote, position: int, segment_bytes: int
) -> str:
    """Why the upstream cannot send the log from this position on; empty when it can.

    Exact: the file of the segment is looked for under every timeline of the upstream. What the
    slot says is told beside it, and decides nothing: a lost slot is made anew, and if the log
    is still there the copy goes on.
    """
    timelines = [span.timeline for span in remote.lineage][-TIMELINES_AT_MOST:]
    names = [f"pg_wal/{segment_name(line, position, segment_bytes)}" for line in timelines]
    async with connected(config, upstream) as connection:
        end = await connection.fetchval("SELECT pg_current_wal_insert_lsn()::text")
        if position // segment_bytes >= parse_lsn(end) // segment_bytes:
            return ""
        found = await connection.fetchval(
            "SELECT bool_or((pg_stat_file(name, true)).size IS NOT NULL)"
            " FROM unnest($1::text[]) AS name",
            names,
        )
        if found:
            return ""
        status = await connection.fetchval(
            "SELECT wal_status FROM pg_replication_slots WHERE slot_name = $1", upstream.slot
        )
    return (
        f"the upstream has removed the log after {format_lsn(position)} that this copy needs next"
        f" (slot {upstream.slot}: {status or 'missing'})"
    )


async def probe_relation(config: PostgresConfig, upstream: Upstream) -> str:
    """database/file of Saling's probe table, as the log names it; empty where it is not there."""
    async with connected(config, upstream) as connection:
        found = await connection.fetchval(
            "SELECT (SELECT oid FROM pg_database WHERE datname = current_database())"
            " || '/' || pg_relation_filenode(c.oid)"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'saling' AND c.relname = 'probe'"
        )
    return found or ""


class Names(Struct):
    """Names of relations by tablespace/database/file, and why some have none, by database."""

    known: dict[str, str]
    reasons: dict[str, str]


async def relation_names(config: PostgresConfig, upstream: Upstream, files: set[str]) -> Names:
    """As the upstream knows them. What it does not tell is said; nothing is raised."""
    names = Names({}, {})
    by_database: dict[str, set[str]] = {}
    for file in files:
        by_database.setdefault(file.split("/")[1], set()).add(file)
    try:
        async with connected(config, upstream) as connection:
            rows = await connection.fetch("SELECT oid::text, datname FROM pg_database")
    except EngineError as error:
        names.reasons["all"] = str(error)
        return names
    databases: dict[str, str] = {row["oid"]: row["datname"] for row in rows}
    # A relation that all databases share is found from any of them.
    databases["0"] = "postgres"
    for number, wanted in sorted(by_database.items())[:DATABASES_AT_MOST]:
        name = databases.get(number)
        if name is None:
            names.reasons[number] = "the upstream has no such database"
            continue
        await _name_in(config, upstream, number, name, wanted, names)
    return names


async def _name_in(
    config: PostgresConfig,
    upstream: Upstream,
    number: str,
    database: str,
    wanted: set[str],
    names: Names,
) -> None:
    by_file = {int(file.rsplit("/", 1)[1]): file for file in wanted}
    try:
        async with connected(config, upstream, database=database) as connection:
            rows = await connection.fetch(
                "SELECT n.nspname || '.' || c.relname AS name,"
                " pg_relation_filenode(c.oid)::bigint AS file"
                " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE pg_relation_filenode(c.oid)::bigint = ANY ($1::bigint[])",
                list(by_file),
            )
    except EngineError as error:
        names.reasons[number] = f"database {database}: {error}"
        return
    for row in rows:
        names.known[by_file[row["file"]]] = f"{database}: {row['name']}"
    if len(rows) < len(wanted):
        names.reasons[number] = f"database {database}: made or rewritten after the fork"
