"""The primary as the standby's host will reach it: as the replication role, over the network."""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg
from msgspec import Struct

from agents.engines.pg_settings import REPLICATION_USER, PostgresConfig, read_password
from config.values import split_address

LIMIT_S = 10.0
_ASK = """
SELECT pg_is_in_recovery() AS standby,
       (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       EXISTS (SELECT FROM pg_replication_slots
               WHERE slot_name = $1::name AND restart_lsn IS NOT NULL
                 AND wal_status <> 'lost') AS slot,
       ARRAY(SELECT name || '=' || setting FROM pg_settings WHERE name = ANY ($2)) AS room
"""
ROOM = (
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
)
"""What a standby must have no less of than its primary."""


class Upstream(Struct, frozen=True):
    """What answers there. `problem`: why nothing does; then the rest means nothing."""

    problem: str = ""
    standby: bool = False
    system_identifier: str = ""
    slot: bool = False
    room: Mapping[str, str] = {}


async def ask_primary(config: PostgresConfig, address: str, slot: str) -> Upstream:
    """Never raises for a server that does not answer or does not let us in."""
    host, port = split_address(address)
    try:
        connection = await asyncpg.connect(
            host=host.strip("[]"),
            port=port,
            user=REPLICATION_USER,
            database="postgres",
            password=read_password(config),
            ssl=config.sslmode,
            timeout=LIMIT_S,
            command_timeout=LIMIT_S,
        )
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return Upstream(problem=str(error) or f"no answer in {LIMIT_S:.0f} s")
    try:
        row = dict(await connection.fetchrow(_ASK, slot, ROOM))
        return Upstream(**{**row, "room": dict(pair.split("=") for pair in row["room"])})
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return Upstream(problem=str(error) or f"no answer in {LIMIT_S:.0f} s")
    finally:
        connection.terminate()
