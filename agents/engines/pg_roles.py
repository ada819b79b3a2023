"""Saling's roles in a cluster: what each may do, and the statements that make it so.

    saling               superuser, over the socket only: roles, slots, the checkpoint of a drain,
                         the comparison with the upstream. Promotion needs no role at all.
    saling_replication   streams the log and copies a cluster; nothing else
    saling_rewind        reads files and settings of a primary, asks it for a checkpoint
    saling_probe         over the socket only: the probe's table, and what a look reads

The statements may be run again and again: they change only what is not so yet.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re

from msgspec import Struct

from agents.engines.pg_settings import PostgresConfig, read_secret

SUPERUSER = "saling"
REPLICATION_USER = "saling_replication"
REWIND_USER = "saling_rewind"
PROBE_USER = "saling_probe"
LESSER_USERS = (REPLICATION_USER, REWIND_USER, PROBE_USER)
SCRAM_ROUNDS = 4096

REWIND_FUNCTIONS = (
    "pg_ls_dir(text, boolean, boolean)",
    "pg_stat_file(text, boolean)",
    "pg_read_binary_file(text)",
    "pg_read_binary_file(text, bigint, bigint, boolean)",
)
REWIND_MEMBER_OF = ("pg_checkpoint", "pg_read_all_settings")
PROBE_MEMBER_OF = ("pg_read_all_settings", "pg_read_all_stats")
NO_MORE = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS INHERIT"

PROBE_TABLE = (
    "CREATE SCHEMA IF NOT EXISTS saling;",
    "CREATE TABLE IF NOT EXISTS saling.probe"
    " (service text PRIMARY KEY, number bigint NOT NULL, at timestamptz NOT NULL)"
    " WITH (fillfactor = 50);",
)


class Passwords(Struct, frozen=True):
    """Of the two roles that connect from another host. Never shown or logged."""

    replication: str
    rewind: str


def read_passwords(config: PostgresConfig) -> Passwords:
    """EngineError when a file is missing, open to others, or not one line of ASCII."""
    replication = read_secret("password_file", config.password_file)
    other = config.rewind_password_file
    return Passwords(
        replication, read_secret("rewind_password_file", other) if other else replication
    )


def passfile_text(passwords: Passwords) -> str:
    """How libpq reads them."""
    pairs = ((REPLICATION_USER, passwords.replication), (REWIND_USER, passwords.rewind))
    return "".join(f"*:*:*:{user}:{_escaped(password)}\n" for user, password in pairs)


def _escaped(password: str) -> str:
    return password.replace("\\", "\\\\").replace(":", "\\:")


def provision_sql(passwords: Passwords) -> str:
    """Brings database `postgres` of a primary to what Saling needs; run as a superuser.

    One statement a line, as a single-user server reads them. Holds verifiers, no password.
    """
    return "\n".join((*_roles(passwords), *rights_sql())) + "\n"


def _roles(passwords: Passwords) -> tuple[str, ...]:
    replication = scram_verifier(passwords.replication)
    rewind = scram_verifier(passwords.rewind)
    return (
        *(_created(name) for name in (SUPERUSER, *LESSER_USERS)),
        f"ALTER ROLE {SUPERUSER} SUPERUSER LOGIN;",
        f"ALTER ROLE {REPLICATION_USER} LOGIN REPLICATION {NO_MORE} PASSWORD '{replication}';",
        f"ALTER ROLE {REWIND_USER} LOGIN NOREPLICATION {NO_MORE} PASSWORD '{rewind}';",
        f"ALTER ROLE {PROBE_USER} LOGIN NOREPLICATION {NO_MORE} PASSWORD NULL;",
    )


def _created(name: str) -> str:
    return (
        f"DO $$BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{name}')"
        f" THEN CREATE ROLE {name}; END IF; END$$;"
    )


def rights_sql() -> tuple[str, ...]:
    """The probe's table and the least rights; what an older version gave too much is taken."""
    functions = ", ".join(f"pg_catalog.{name}" for name in REWIND_FUNCTIONS)
    return (
        *PROBE_TABLE,
        f"GRANT CONNECT ON DATABASE postgres TO {REWIND_USER}, {PROBE_USER};",
        f"GRANT EXECUTE ON FUNCTION {functions} TO {REWIND_USER};",
        f"GRANT {', '.join(REWIND_MEMBER_OF)} TO {REWIND_USER};",
        f"GRANT USAGE ON SCHEMA saling TO {PROBE_USER};",
        f"GRANT SELECT, INSERT, UPDATE ON saling.probe TO {PROBE_USER};",
        f"GRANT {', '.join(PROBE_MEMBER_OF)} TO {PROBE_USER};",
        f"REVOKE EXECUTE ON FUNCTION {functions} FROM {REPLICATION_USER};",
        f"REVOKE pg_checkpoint FROM {REPLICATION_USER};",
    )


def _member(others: tuple[str, ...], role: str = "") -> str:
    """Of `role`, an oid in SQL, or of who asks."""
    who = f"{role}, " if role else ""
    return " AND ".join(f"pg_has_role({who}'{other}', 'USAGE')" for other in others)


def _table(role: str = "") -> str:
    who = f"{role}, " if role else ""
    rights = ("SELECT", "INSERT", "UPDATE")
    parts = (f"has_table_privilege({who}to_regclass('saling.probe'), '{x}')" for x in rights)
    return f"coalesce({' AND '.join(parts)}, false)"


def _has(name: str, *conditions: str) -> str:
    attributes = "rolcanlogin AND NOT (rolsuper OR rolcreatedb OR rolcreaterole OR rolbypassrls)"
    where = " AND ".join((f"rolname = '{name}'", attributes, *conditions))
    return f"EXISTS (SELECT FROM pg_roles WHERE {where})"


_MAY_READ = " AND ".join(
    f"has_function_privilege(oid, 'pg_catalog.{name}', 'EXECUTE')" for name in REWIND_FUNCTIONS
)
NEEDS = (
    (f"{SUPERUSER}: SUPERUSER and LOGIN", f"EXISTS (SELECT FROM pg_roles WHERE rolname ="
     f" '{SUPERUSER}' AND rolsuper AND rolcanlogin)"),
    (f"{REPLICATION_USER}: LOGIN and REPLICATION, and nothing more",
     _has(REPLICATION_USER, "rolreplication", f"NOT ({_MAY_READ})")),
    (f"{REWIND_USER}: LOGIN, {', '.join(REWIND_MEMBER_OF)}, the functions of pg_rewind",
     _has(REWIND_USER, "NOT rolreplication", _member(REWIND_MEMBER_OF, "oid"), _MAY_READ)),
    (f"{PROBE_USER}: LOGIN, {', '.join(PROBE_MEMBER_OF)}",
     _has(PROBE_USER, "NOT rolreplication", _member(PROBE_MEMBER_OF, "oid"))),
    (f"{PROBE_USER}: its schema, SELECT, INSERT and UPDATE on saling.probe",
     _has(PROBE_USER, "coalesce(has_schema_privilege(oid, to_regnamespace('saling'), 'USAGE'),"
          " false)", _table("oid"))),
)  # fmt: skip
"""What each role must have, in words and as a question."""

LACKING = (
    "SELECT array_remove(ARRAY["
    + ", ".join(f"CASE WHEN NOT {question} THEN '{words}' END" for words, question in NEEDS)
    + "], NULL) AS lacking"
)
"""What the roles lack, a sentence each; asked by the superuser."""

VERIFIERS = (
    f"SELECT (SELECT rolpassword FROM pg_authid WHERE rolname = '{REPLICATION_USER}'),"
    f" (SELECT rolpassword FROM pg_authid WHERE rolname = '{REWIND_USER}')"
)

IS_EQUIPPED = f"SELECT {_member(PROBE_MEMBER_OF)} AND {_table()}"
"""Asked by a session of saling_probe: whether it can do what it is for."""


def scram_verifier(password: str, salt: bytes | None = None, rounds: int = SCRAM_ROUNDS) -> str:
    """What PostgreSQL stores instead of the password, so that no log ever holds that."""
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, rounds)
    client = hmac.digest(salted, b"Client Key", "sha256")
    server = hmac.digest(salted, b"Server Key", "sha256")
    stored, salt64, server64 = (
        base64.b64encode(part).decode() for part in (hashlib.sha256(client).digest(), salt, server)
    )
    return f"SCRAM-SHA-256${rounds}:{salt64}${stored}:{server64}"


def fits(verifier: str | None, password: str) -> bool:
    """Whether a stored verifier is that of this password."""
    found = re.fullmatch(r"SCRAM-SHA-256\$(\d+):([^$]+)\$[^:]+:.+", verifier or "")
    if not found:
        return False
    made = scram_verifier(password, base64.b64decode(found[2]), int(found[1]))
    return hmac.compare_digest(made, verifier or "")
