"""What a primary needs before Saling can run it: roles, the probe's table, a slot, rules of entry.

Everything may be done again. The standby gets roles and table by replication.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg

from agents.adoption.facts import AdoptError, Facts
from agents.engines.pg_directory import rewrite
from agents.engines.pg_settings import (
    REPLICATION_USER,
    SUPERUSER,
    PostgresConfig,
    creation_sql,
    read_password,
    with_our_hba,
)

CREATE = f"CREATE ROLE {REPLICATION_USER} "


async def provision(
    connection: Any, facts: Facts, config: PostgresConfig, slot: str, superuser: str
) -> None:
    """Make what is missing on the running primary, no more; no slot if it has no name.

    Raises AdoptError, and may be run again.
    """
    for statement in provision_sql(read_password(config), facts.roles):
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


def provision_sql(password: str, roles: frozenset[str]) -> list[str]:
    """The statements of a new database, for one in which some may have been done before."""
    given = [line for line in creation_sql(password).splitlines() if line]
    if REPLICATION_USER in roles:
        # Its password becomes the one of the file, which the partner's host has too.
        given = [line.replace(CREATE, f"ALTER ROLE {REPLICATION_USER} ") for line in given]
    verb = "ALTER" if SUPERUSER in roles else "CREATE"
    return [f"{verb} ROLE {SUPERUSER} SUPERUSER LOGIN", *given]


def with_entry_rules(hba: str, superuser: str) -> str:
    """Our block for a server that Saling does not run yet.

    Its sockets may be open to all users of the host, so our superuser may not come in by them,
    unless the DBA's own has the same name.
    """
    if superuser == SUPERUSER:
        return with_our_hba(hba, "# The DBA's rules below say who may be saling on a socket.")
    return with_our_hba(hba, f"local all {SUPERUSER} reject")


async def _do(connection: Any, statement: str, *arguments: object) -> None:
    shown = statement.split(" PASSWORD ")[0]
    try:
        await connection.execute(statement, *arguments)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise AdoptError(f"{shown}: {error or 'no answer in time'}") from None
