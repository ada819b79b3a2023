"""How the writer and the probers reach an engine, and what its errors say about a commit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from lab.base.records import Outcome

ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""All that asyncpg raises when an engine refuses, hangs or goes away; a timeout is an OSError."""

_UNDEFINED_TABLE = "42P01"
_STATEMENT_COMPLETION_UNKNOWN = "40003"


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who connects; `password_file` is empty where the engine asks for no password."""

    database: str
    user: str
    password_file: str = ""
    connect_timeout_s: float = 0.5
    command_timeout_s: float = 1.0


async def connect(address: str, login: Login, **more: Any) -> asyncpg.Connection:
    """A connection to the engine at host:port. Raises one of ERRORS."""
    host, _, port = address.rpartition(":")
    password = Path(login.password_file).read_text() if login.password_file else None
    return await asyncpg.connect(
        host=host,
        port=int(port),
        database=login.database,
        user=login.user,
        password=password,
        ssl=False,
        timeout=login.connect_timeout_s,
        command_timeout=login.command_timeout_s,
        **more,
    )


async def make_role(connection: asyncpg.Connection, name: str, password: str) -> None:
    """A role that may log in and make tables, unless it is there already."""
    if await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name):
        return
    await connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
    await connection.execute(f"GRANT CREATE, USAGE ON SCHEMA public TO {name}")


def outcome_of(error: Exception) -> Outcome:
    """Whether an error met while committing proves that nothing was committed.

    An engine that ends a session says so with FATAL, also to one whose commit is already on
    its disk; only a plain ERROR takes the work back for certain.
    """
    if not isinstance(error, asyncpg.PostgresError):
        return Outcome.UNKNOWN
    severity = getattr(error, "severity_en", None) or getattr(error, "severity", None)
    state = getattr(error, "sqlstate", None)
    if severity == "ERROR" and state != _STATEMENT_COMPLETION_UNKNOWN:
        return Outcome.FAILED
    return Outcome.UNKNOWN


def table_is_missing(error: Exception) -> bool:
    return getattr(error, "sqlstate", None) == _UNDEFINED_TABLE


def reason_of(error: Exception) -> str:
    """One line, the kind of the error first: some have no text of their own."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
