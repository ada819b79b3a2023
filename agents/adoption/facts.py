"""What the server that is to be adopted says of itself, asked as its superuser over its socket.

Errors: AdoptError with the mend. Nothing is changed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from msgspec import Struct

from agents.engines import pg_tablespaces
from agents.engines.pg_roles import LESSER_USERS, SUPERUSER
from agents.engines.pg_running import Running
from agents.engines.pg_wal import parse_lsn

CONNECT_LIMIT_S = 10.0
QUERY_LIMIT_S = 30.0

_FACTS = """
SELECT pg_is_in_recovery() AS standby,
       (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       current_setting('server_version_num')::int / 10000 AS major,
       CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_receive_lsn(), '0/0')
            ELSE pg_current_wal_flush_lsn() END::text AS position,
       coalesce((SELECT sender_host FROM pg_stat_wal_receiver WHERE status = 'streaming'), '')
           AS sender_host,
       coalesce((SELECT sender_port FROM pg_stat_wal_receiver WHERE status = 'streaming'), 0)
           AS sender_port,
       ARRAY(SELECT rolname::text FROM pg_roles) AS roles,
       to_regclass('saling.probe') IS NOT NULL AS probe_table,
       (SELECT count(*) FROM pg_replication_slots WHERE slot_type = 'logical') AS logical_slots,
       (SELECT count(*) FROM pg_replication_slots) AS slots
"""

_FOLLOWERS = """
SELECT coalesce(application_name, '') AS name, usename::text AS role, state = 'streaming'
           AS streaming, coalesce(flush_lsn, '0/0')::text AS flushed,
       coalesce((SELECT slot_name::text FROM pg_replication_slots WHERE active_pid = pid), '')
           AS slot
  FROM pg_stat_replication
"""


class AdoptError(Exception):
    """It did not work; the text names what and the mend."""


class Follower(Struct, frozen=True):
    """A standby that reads from the primary. `flushed` is a position in bytes."""

    name: str
    role: str
    streaming: bool
    flushed: int
    slot: str


class Facts(Struct, frozen=True):
    """One look at the running server. `position`: the end of its flushed or received log."""

    standby: bool
    system_identifier: str
    major: int
    position: int
    sender_host: str
    sender_port: int
    roles: frozenset[str]
    probe_table: bool
    logical_slots: int
    slots: int
    settings: Mapping[str, str]
    followers: tuple[Follower, ...]
    tablespaces: tuple[str, ...] = ()
    """Those outside the data directory, each with its place."""

    @property
    def prepared(self) -> bool:
        """Saling's roles and its probe's table are there."""
        return {SUPERUSER, *LESSER_USERS} <= self.roles and self.probe_table


@asynccontextmanager
async def session(running: Running, superuser: str) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's session on the running server. Raises AdoptError."""
    if running.sockets is None:
        raise AdoptError(
            "the server has no Unix socket: set unix_socket_directories, restart it, run this again"
        )
    where = f"{running.sockets}, port {running.port}, as {superuser}"
    try:
        connection = await asyncpg.connect(
            host=str(running.sockets),
            port=running.port,
            user=superuser,
            database="postgres",
            ssl=False,
            timeout=CONNECT_LIMIT_S,
            command_timeout=QUERY_LIMIT_S,
            server_settings={"search_path": "pg_catalog", "application_name": "saling adopt"},
        )
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise AdoptError(
            f"{where}: {error}; name with --superuser a role that may log in there without a "
            "password (peer or trust in pg_hba.conf)"
        ) from None
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise AdoptError(f"{where}: {error or 'no answer in time'}; run this again") from None
    try:
        yield connection
    finally:
        connection.terminate()


async def facts_of(connection: Any) -> Facts:
    """Raises AdoptError."""
    try:
        row = await connection.fetchrow(_FACTS)
        settings = await connection.fetch("SELECT name, current_setting(name) FROM pg_settings")
        followers = await connection.fetch(_FOLLOWERS)
        tablespaces = await connection.fetch(pg_tablespaces.OUTSIDE)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise AdoptError(f"the server does not tell about itself: {error}") from None
    known = dict(row)
    return Facts(
        **{**known, "position": parse_lsn(known["position"]), "roles": frozenset(known["roles"])},
        settings={name: value or "" for name, value in settings},
        followers=tuple(
            Follower(**{**dict(one), "flushed": parse_lsn(one["flushed"])}) for one in followers
        ),
        tablespaces=tuple(one["named"] for one in tablespaces),
    )
