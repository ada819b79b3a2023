"""Connections to the running server over its socket: looking, probing, changing.

Looking and probing have a connection each, kept open: a commit that hangs must not blind the
agent. What failed or came late is cut off at once, for a frozen server answers no goodbye.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
from msgspec import Struct

from agents.core.observation import Disk, Observation, Probe, ProbeKind
from agents.engines.base import EngineBusy, EngineError
from agents.engines.pg_roles import (
    IS_EQUIPPED,
    LACKING,
    PROBE_USER,
    REWIND_USER,
    SUPERUSER,
    VERIFIERS,
    Passwords,
    fits,
    provision_sql,
    read_passwords,
)
from agents.engines.pg_settings import PostgresConfig, UpstreamTls, address_of
from agents.engines.pg_wal import parse_lsn
from protocol.messages import Role

SHARED_CODES = {
    "25006": "read only",
    "54000": "transaction numbers are used up",
    "55P03": "the probe's table is locked",
    "42P01": "the probe's table is missing",
    "3F000": "the probe's schema is missing",
    "42501": "no right to the probe's table",
    "42703": "the probe's table is another",
}
TIMEOUT_CODES = {"57014"}
CONNECT_LIMIT_S = 10
TEND_LIMIT_MS = 5000

# A receiver says that it streams before the upstream has said whether it has the log, and a
# standby in vain makes a new one five times a second. The two times are one until a message came.
LOOK = """
WITH at AS MATERIALIZED (SELECT pg_is_in_recovery() AS standby),
     receiver AS MATERIALIZED (
         SELECT FROM pg_stat_wal_receiver AS r
         WHERE status = 'streaming' AND (
             last_msg_send_time <> last_msg_receipt_time
             OR EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.pid = r.pid
                        AND clock_timestamp() - backend_start > interval '2 seconds')))
SELECT standby,
       CASE WHEN standby THEN coalesce(greatest(pg_last_wal_receive_lsn(),
                                                pg_last_wal_replay_lsn()), '0/0')
            ELSE pg_current_wal_flush_lsn() END::text AS position,
       CASE WHEN standby THEN coalesce(pg_last_wal_replay_lsn(), '0/0')
            ELSE pg_current_wal_flush_lsn() END::text AS replayed,
       CASE WHEN standby THEN
                coalesce((SELECT received_tli FROM pg_stat_wal_receiver), checkpoint.timeline_id)
            ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
       END AS timeline,
       standby AND EXISTS (SELECT FROM receiver) AS streaming,
       CASE WHEN standby THEN current_setting('primary_conninfo') ELSE '' END AS conninfo,
       CASE WHEN NOT standby THEN 0
            WHEN pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn()
                 AND EXISTS (SELECT FROM receiver) THEN 0
            ELSE coalesce(greatest(0, extract(epoch FROM clock_timestamp()
                          - pg_last_xact_replay_timestamp()) * 1000), 0) END::bigint AS lag_ms,
       NOT standby AND current_setting('synchronous_standby_names') <> ''
           AND current_setting('synchronous_commit') NOT IN ('off', 'local')
           AND EXISTS (SELECT FROM pg_stat_replication
                       WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum'))
           AS sync_active,
       checkpoint.redo_lsn::text AS redo,
       (SELECT system_identifier FROM pg_control_system())::text AS system_identifier
FROM at, pg_control_checkpoint() AS checkpoint
"""

PROBE = """
BEGIN;
SET LOCAL synchronous_commit = 'local';
SET LOCAL lock_timeout = {lock_ms};
SET LOCAL statement_timeout = {statement_ms};
INSERT INTO saling.probe AS old VALUES ({service}, 1, clock_timestamp())
    ON CONFLICT (service) DO UPDATE SET number = old.number + 1, at = clock_timestamp();
COMMIT
"""

COMMITTING = """
SELECT EXISTS (SELECT FROM pg_stat_activity
               WHERE pid <> pg_backend_pid() AND application_name = 'saling' AND state = 'active'
                     AND query LIKE '%INSERT INTO saling.probe%'
                     AND wait_event_type IS DISTINCT FROM 'Lock')
"""
"""Whether an earlier probe, which was given up, is in its commit still and holds its row: then the
disk is slow or hangs, and no table is locked."""

PROVISION_BEGIN = """
BEGIN READ WRITE;
SET LOCAL synchronous_commit = 'local';
SET LOCAL log_min_error_statement = 'panic';
"""
"""A backup that is away must not hold this up: it is what lets the backup in. And the server's own
log must not show the statement when it fails, for that holds the verifiers."""

LESSER_REFUSED = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
)


class Look(Struct, frozen=True):
    """One row of LOOK. Positions are bytes."""

    standby: bool
    position: int
    replayed: int
    timeline: int
    streaming: bool
    conninfo: str
    lag_ms: int
    sync_active: bool
    redo: int
    system_identifier: str


class Session:
    """One connection, made when needed, cut off when something failed.

    `lesser`: as saling_probe where it can do what it is for, else as the superuser: in a copy of
    an older version, or when no connections are left but the superuser's own.
    """

    def __init__(self, config: PostgresConfig, lesser: bool = False) -> None:
        self._config = config
        self._lesser = lesser
        self._connection: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()

    async def row(self, sql: str, *arguments: object, timeout_ms: int) -> Any:
        """The first row. TimeoutError, OSError or asyncpg.PostgresError."""
        return await self._do("fetchrow", sql, *arguments, timeout_ms=timeout_ms)

    async def execute(self, sql: str, *, timeout_ms: int) -> None:
        """Several statements, in one go. Errors as `row`."""
        await self._do("execute", sql, timeout_ms=timeout_ms)

    async def _do(self, method: str, sql: str, *arguments: object, timeout_ms: int) -> Any:
        async with asyncio.timeout(timeout_ms / 1000), self._turn:
            try:
                return await getattr(await self._connected(), method)(sql, *arguments)
            except BaseException:
                self.cut()
                raise

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            lesser = await connect_lesser(self._config) if self._lesser else None
            self._connection = lesser or await connect(self._config)
        return self._connection

    def cut(self) -> None:
        """Drop the connection without a goodbye."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


async def connect(
    config: PostgresConfig, user: str = SUPERUSER, database: str = "postgres"
) -> asyncpg.Connection:
    """A session over the socket, which stands in a directory of mode 0700."""
    return await asyncpg.connect(
        host=str(config.sockets),
        port=config.port,
        user=user,
        database=database,
        ssl=False,
        statement_cache_size=20,
        server_settings={"application_name": "saling", "jit": "off", "search_path": "pg_catalog"},
    )


async def connect_lesser(config: PostgresConfig) -> asyncpg.Connection | None:
    """A session of saling_probe; None where that role is not let in or lacks a right."""
    connection: asyncpg.Connection | None = None
    try:
        connection = await connect(config, PROBE_USER)
        if await connection.fetchval(IS_EQUIPPED):
            lesser, connection = connection, None
            return lesser
    except LESSER_REFUSED:
        return None
    finally:
        if connection is not None:
            connection.terminate()
    return None


@contextlib.asynccontextmanager
async def upstream_session(
    config: PostgresConfig, address: str, database: str = "postgres"
) -> AsyncIterator[Any]:
    """A session of saling_rewind at another host. TimeoutError, OSError, asyncpg's errors."""
    host, _, port = address.rpartition(":")

    async def connected(by: ssl.SSLContext | bool) -> asyncpg.Connection:
        return await asyncpg.connect(
            host=host.strip("[]"),
            port=int(port),
            user=REWIND_USER,
            database=database,
            password=read_passwords(config).rewind,
            ssl=by,
            timeout=CONNECT_LIMIT_S,
            server_settings={"application_name": "saling"},
        )

    try:
        connection = await connected(_verifying(config.tls) if config.tls else _unverified())
    except ConnectionError as error:
        if config.tls or "rejected SSL" not in str(error):
            raise
        connection = await connected(False)
    try:
        yield connection
    finally:
        connection.terminate()


def _unverified() -> ssl.SSLContext:
    """TLS where it can be had. Not the driver's own `prefer`, which reads the home directory."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _verifying(tls: UpstreamTls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.authority)
    if tls.certificate and tls.key:
        context.load_cert_chain(tls.certificate, tls.key)
    return context


async def look(session: Session, timeout_ms: int) -> Look:
    """Errors as `Session.row`."""
    row = await session.row(LOOK, timeout_ms=timeout_ms)
    fields = dict(row)
    for name in ("position", "replayed", "redo"):
        fields[name] = parse_lsn(fields[name])
    return Look(**fields)


async def probe(session: Session, service: str, timeout_ms: int) -> Probe:
    """Commit one row; the setting default_transaction_read_only is obeyed, as by all writers."""
    sql = PROBE.format(
        lock_ms=max(1, timeout_ms * 6 // 10),
        statement_ms=max(1, timeout_ms * 9 // 10),
        service="'" + service.replace("'", "''") + "'",
    )
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            return await _probed(session, sql, timeout_ms)
    except TimeoutError:
        return Probe(kind=ProbeKind.TIMEOUT, reason=f"no commit in {timeout_ms} ms")
    except asyncpg.PostgresError as error:
        return classify(error)
    except (OSError, asyncpg.InterfaceError) as error:
        return Probe(kind=ProbeKind.LOCAL, reason=f"no connection: {error}")


async def _probed(session: Session, sql: str, timeout_ms: int) -> Probe:
    """Errors as `Session.row`."""
    try:
        await session.execute(sql, timeout_ms=timeout_ms)
    except asyncpg.LockNotAvailableError as error:
        if (await session.row(COMMITTING, timeout_ms=timeout_ms))[0]:
            return Probe(kind=ProbeKind.TIMEOUT, reason="an earlier commit has not ended")
        return classify(error)
    where = "SELECT lsn::text, pg_walfile_name(lsn) FROM pg_current_wal_flush_lsn() AS lsn"
    row = await session.row(where, timeout_ms=timeout_ms)
    return Probe(ProbeKind.COMMITTED, parse_lsn(row[0]), log_file=row[1])


def classify(error: asyncpg.PostgresError) -> Probe:
    """Whether a promoted backup would fail in the same way."""
    code = str(error.sqlstate)
    if code in TIMEOUT_CODES:
        return Probe(kind=ProbeKind.TIMEOUT, reason=str(error))
    if code in SHARED_CODES:
        return Probe(kind=ProbeKind.SHARED, reason=f"{SHARED_CODES[code]}: {error}")
    return Probe(kind=ProbeKind.LOCAL, reason=f"{code}: {error}")


async def change(session: Session, sql: str, what: str, *, timeout_ms: int = 10_000) -> None:
    """Statements of an operation: EngineBusy when they may succeed later, EngineError else.

    Errors name `what` it does and why it failed, never the statements: they may hold verifiers.
    """
    try:
        await session.execute(sql, timeout_ms=timeout_ms)
    except (TimeoutError, OSError, asyncpg.InterfaceError) as error:
        raise EngineBusy(f"{what}: {error or f'no answer in {timeout_ms} ms'}") from None
    except asyncpg.PostgresError as error:
        if str(error.sqlstate).startswith(("53", "55", "57", "08")):
            raise EngineBusy(f"{what}: {error}") from None
        raise EngineError(f"{what}: {error}") from None


async def provision(session: Session, passwords: Passwords) -> None:
    """Give a primary's roles what they lack, and these passwords. EngineBusy, EngineError."""
    sql = provision_sql(passwords)
    try:
        if (await session.row("SELECT pg_is_in_recovery()", timeout_ms=TEND_LIMIT_MS))[0]:
            return
        lacking = (await session.row(LACKING, timeout_ms=TEND_LIMIT_MS))[0]
        replication, rewind = await session.row(VERIFIERS, timeout_ms=TEND_LIMIT_MS)
    except (TimeoutError, OSError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
        raise EngineBusy(f"roles cannot be looked at: {error or 'no answer in time'}") from None
    fit = fits(replication, passwords.replication) and fits(rewind, passwords.rewind)
    if lacking or not fit:
        what = "roles and passwords cannot be set"
        await change(session, f"{PROVISION_BEGIN}\n{sql}COMMIT", what, timeout_ms=TEND_LIMIT_MS)


def running(seen: Look, disk: Disk) -> Observation:
    """What a look at a running server comes to."""
    return Observation(
        role=Role.STANDBY if seen.standby else Role.PRIMARY,
        disk=disk,
        system_identifier=seen.system_identifier,
        timeline=seen.timeline,
        position_bytes=seen.position,
        replayed_bytes=seen.replayed,
        streaming=seen.streaming,
        upstream=address_of(seen.conninfo),
        lag_ms=seen.lag_ms,
        sync_active=seen.sync_active,
        recovery_bytes=0 if seen.standby else max(0, seen.position - seen.redo),
    )
