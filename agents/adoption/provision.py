"""What a primary needs before Saling can run it: roles, the probe's table, a slot, rules of entry.

Everything may be done again. The standby gets roles and table by replication.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import asyncpg

from agents.adoption.facts import AdoptError, Facts
from agents.engines.base import EngineError
from agents.engines.pg_directory import rewrite
from agents.engines.pg_roles import (
    PROBE_USER,
    REPLICATION_USER,
    REWIND_USER,
    SUPERUSER,
    provision_sql,
    read_passwords,
)
from agents.engines.pg_settings import PostgresConfig

HBA_BEGIN = "# BEGIN SALING (for the adoption; your own rules go below)"
HBA_END = "# END SALING"


async def provision(
    connection: Any, facts: Facts, config: PostgresConfig, slot: str, superuser: str
) -> None:
    """Make what is missing on the running primary, no more; no slot if it has no name.

    Raises AdoptError, and may be run again.
    """
    try:
        statements = provision_sql(read_passwords(config)).splitlines()
    except EngineError as error:
        raise AdoptError(str(error)) from None
    for statement in statements:
        await _do(connection, statement)
    if slot:
        await _do(
            connection,
            "SELECT pg_create_physical_replication_slot($1::name, true)"
            " WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1::name)",
            slot,
        )
    hba_file = Path(facts.settings["hba_file"])
    try:
        await asyncio.to_thread(rewrite, hba_file, lambda text: with_entry_rules(text, superuser))
    except OSError as error:
        raise AdoptError(
            f"{error.filename}: {error.strerror}; give the file and its directory to the data's "
            "owner, and run this again"
        ) from None
    await _do(connection, "SELECT pg_reload_conf()")


def with_entry_rules(hba: str, superuser: str) -> str:
    """Our block on top for a server that Saling does not run yet, in place of an older one.

    Its sockets may be open to all users of the host, so our roles may not come in by them,
    unless the DBA's own superuser has the same name.
    """
    rest = re.sub(r"# BEGIN SALING.*?# END SALING\n", "", hba, flags=re.S)
    ours = [SUPERUSER, PROBE_USER] if superuser != SUPERUSER else [PROBE_USER]
    block = [
        HBA_BEGIN,
        f"local all {','.join(ours)} reject",
        f"host all {SUPERUSER},{PROBE_USER} all reject",
        f"host replication {REPLICATION_USER} all scram-sha-256",
        f"host all {REWIND_USER} all scram-sha-256",
        HBA_END,
    ]
    return "\n".join(block) + "\n" + rest


async def _do(connection: Any, statement: str, *arguments: object) -> None:
    shown = statement.split(" PASSWORD ")[0]
    try:
        await connection.execute(statement, *arguments)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise AdoptError(f"{shown}: {error or 'no answer in time'}") from None
