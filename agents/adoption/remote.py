"""The primary as the standby's host will reach it: as saling_rewind, over the network."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import asyncpg
from msgspec import Struct

from agents.engines.base import EngineError
from agents.engines.pg_compare import AT_LEAST
from agents.engines.pg_session import upstream_session
from agents.engines.pg_settings import PostgresConfig

LIMIT_S = 10.0
REFUSED = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, EngineError)
_ASK = """
SELECT pg_is_in_recovery() AS standby,
       (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       EXISTS (SELECT FROM pg_replication_slots
               WHERE slot_name = $1::name AND restart_lsn IS NOT NULL
                 AND wal_status <> 'lost') AS slot,
       ARRAY(SELECT name || '=' || setting FROM pg_settings WHERE name = ANY ($2)) AS room
"""


class Upstream(Struct, frozen=True):
    """What answers there. `problem`: why nothing does; then the rest means nothing."""

    problem: str = ""
    standby: bool = False
    system_identifier: str = ""
    slot: bool = False
    room: Mapping[str, str] = {}


async def ask_primary(config: PostgresConfig, address: str, slot: str) -> Upstream:
    """Never raises for a server that does not answer or does not let us in."""
    try:
        async with asyncio.timeout(LIMIT_S), upstream_session(config, address) as connection:
            row = dict(await connection.fetchrow(_ASK, slot, AT_LEAST))
    except REFUSED as error:
        return Upstream(problem=str(error) or f"no answer in {LIMIT_S:.0f} s")
    return Upstream(**{**row, "room": dict(pair.split("=") for pair in row["room"])})
