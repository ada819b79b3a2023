"""What must match between a standby and its upstream before it may take over, compared.

The upstream is asked for its settings as saling_rewind. What its databases need (collations,
extensions) is read from the standby's own catalogs, which are the upstream's, and held against
what this host has. Each mismatch is a sentence: what, both values, the mend.

Errors: EngineBusy when somebody does not answer; then nothing is known.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
from msgspec import Struct

from agents.engines.base import EngineBusy
from agents.engines.pg_session import connect, upstream_session
from agents.engines.pg_settings import PostgresConfig
from agents.engines.pg_tablespaces import OUTSIDE, refusal

LIMIT_S = 60
STATEMENT_LIMIT = "5s"
NAMED_AT_MOST = 5
AT_LEAST = (
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
)
"""What a standby must have no less of than its upstream, or it stops replaying."""

SETTINGS = (
    "SELECT "
    + ", ".join(f"current_setting('{name}')::int AS {name}" for name in AT_LEAST)
    + ", current_setting('server_version_num')::int / 10000 AS major"
    ", current_setting('wal_log_hints') = 'on' OR current_setting('data_checksums') = 'on' AS hints"
    ", current_setting('shared_preload_libraries') AS libraries"
)
DATABASES = """
SELECT datname, datcollversion AS recorded, pg_database_collation_actual_version(oid) AS actual
FROM pg_database WHERE datallowconn ORDER BY datname
"""
COLLATIONS = """
SELECT collnamespace::regnamespace || '.' || quote_ident(collname) AS name,
       collversion AS recorded, pg_collation_actual_version(oid) AS actual
FROM pg_collation AS used
WHERE collversion IS DISTINCT FROM pg_collation_actual_version(oid) AND collversion IS NOT NULL
  AND EXISTS (SELECT FROM pg_depend
              WHERE refclassid = 'pg_collation'::regclass AND refobjid = used.oid)
ORDER BY 1
"""
EXTENSIONS = """
SELECT extname FROM pg_extension
WHERE extname NOT IN (SELECT name FROM pg_available_extensions) ORDER BY 1
"""
LIBRARIES = "SELECT DISTINCT probin FROM pg_proc WHERE probin IS NOT NULL ORDER BY 1"
PLACES = """
SELECT (SELECT setting FROM pg_config WHERE name = 'PKGLIBDIR') AS own,
       current_setting('dynamic_library_path') AS path
"""


class Places(Struct, frozen=True):
    """Where this host's server looks for a library."""

    own: Path
    path: tuple[str, ...]

    def has(self, library: str) -> bool:
        """As PostgreSQL finds it: with or without its ending, `$libdir` and a search path."""
        name = library.removeprefix("$libdir/")
        if "/" in name:
            candidates = [Path(name.replace("$libdir", str(self.own)))]
        else:
            directories = (
                self.own,
                *(Path(p.replace("$libdir", str(self.own))) for p in self.path),
            )
            candidates = [directory / name for directory in directories]
        return any(c.is_file() or c.with_name(c.name + ".so").is_file() for c in candidates)


async def mismatches(config: PostgresConfig, upstream_address: str) -> tuple[str, ...]:
    """All that does not match; empty when the running standby may take over."""
    try:
        async with asyncio.timeout(LIMIT_S):
            theirs = await _upstream_settings(config, upstream_address)
            return await _compare(config, theirs)
    except (TimeoutError, OSError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
        text = str(error) or f"no answer in {LIMIT_S} s"
        raise EngineBusy(f"{config.service}: the comparison failed: {text}") from None


async def _upstream_settings(config: PostgresConfig, address: str) -> Any:
    try:
        async with upstream_session(config, address) as session:
            return await session.fetchrow(SETTINGS, timeout=10)
    except (TimeoutError, OSError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
        raise EngineBusy(
            f"{address} does not tell its settings to saling_rewind: {error or 'no answer'}; a"
            " primary makes this role by itself once its agent runs"
        ) from None


async def _compare(config: PostgresConfig, theirs: Any) -> tuple[str, ...]:
    session = await _connected(config, "postgres")
    try:
        ours = await session.fetchrow(SETTINGS)
        databases = await session.fetch(DATABASES)
        row = await session.fetchrow(PLACES)
        outside = [each["named"] for each in await session.fetch(OUTSIDE)]
    finally:
        session.terminate()
    places = Places(Path(row["own"]), tuple(row["path"].split(":")))
    found = [*settings_that_differ(ours, theirs), *_missing_at_start(theirs, places)]
    if outside:
        found.append(refusal(outside))
    for database in databases:
        found += await _database(config, database, places)
    return tuple(found)


def settings_that_differ(ours: Any, theirs: Any) -> list[str]:
    """Both as `SETTINGS` gives them."""
    found = []
    for name in AT_LEAST:
        if ours[name] < theirs[name]:
            found.append(
                f"{name}: {ours[name]} here, {theirs[name]} at the upstream: a standby with less "
                f"stops; set {theirs[name]} or more in `settings` here, and restart this copy"
            )
    if ours["major"] != theirs["major"]:
        found.append(
            f"PostgreSQL {ours['major']} here, {theirs['major']} at the upstream; "
            "set `binaries` to those of the upstream's version"
        )
    for where, has in (("here", ours["hints"]), ("at the upstream", theirs["hints"])):
        if not has:
            found.append(
                f"wal_log_hints and data checksums are both off {where}, so that a copy could not "
                "be rewound; restart it under Saling, which turns the hints on"
            )
    return found


def _missing_at_start(theirs: Any, places: Places) -> list[str]:
    listed = [name.strip().strip('"') for name in theirs["libraries"].split(",")]
    return [
        f"shared_preload_libraries: {name} is loaded at the upstream and not on this host; "
        "install its package"
        for name in listed
        if name and not places.has(name)
    ]


async def _database(config: PostgresConfig, database: Any, places: Places) -> list[str]:
    name = database["datname"]
    found = []
    if database["recorded"] is not None and database["recorded"] != database["actual"]:
        found.append(_collation_differs(f"database {name}: its collation", database))
    try:
        session = await _connected(config, name)
    except (asyncpg.InvalidCatalogNameError, asyncpg.ObjectNotInPrerequisiteStateError):
        # Dropped since it was listed, or closed to all.
        return []
    except asyncpg.PostgresError as error:
        if str(error.sqlstate).startswith(("08", "53", "57")):
            raise
        return [*found, f"database {name}: cannot be opened on this host: {error}"]
    try:
        return [*found, *await _inside(session, name, places)]
    finally:
        session.terminate()


async def _inside(session: Any, name: str, places: Places) -> list[str]:
    found = []
    differing = await session.fetch(COLLATIONS)
    for row in differing[:NAMED_AT_MOST]:
        found.append(_collation_differs(f"database {name}: collation {row['name']}", row))
    if len(differing) > NAMED_AT_MOST:
        found.append(f"database {name}: {len(differing) - NAMED_AT_MOST} collations more")
    for row in await session.fetch(EXTENSIONS):
        found.append(
            f"database {name}: extension {row['extname']} is installed at the upstream and not "
            "available on this host; install its package"
        )
    for row in await session.fetch(LIBRARIES):
        if not places.has(row["probin"]):
            found.append(
                f"database {name}: library {row['probin']} is used at the upstream and not in "
                f"{places.own}; install its package"
            )
    return found


def _collation_differs(what: str, row: Any) -> str:
    return (
        f"{what} was made with version {row['recorded']}, this host has {row['actual']}: its "
        "indexes would be read wrongly; install the same libc or ICU, or on the primary rebuild "
        "the indexes and REFRESH VERSION"
    )


async def _connected(config: PostgresConfig, database: str) -> Any:
    """The superuser's, for it may enter every database. The server itself ends a statement."""
    session = await connect(config, database=database)
    await session.execute(f"SET statement_timeout = '{STATEMENT_LIMIT}'")
    return session
