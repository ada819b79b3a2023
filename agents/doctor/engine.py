"""The doctor's questions to a running engine: roles, passwords, settings, rules.

Asked over the socket as the superuser; nothing is changed. An engine that does not run, or
answers nobody, is the business of other findings.
"""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from agents.doctor.findings import Finding, fail, ok, warn
from agents.engines.base import EngineError
from agents.engines.pg_roles import LACKING, VERIFIERS, fits, read_passwords
from agents.engines.pg_session import Session, connect
from agents.engines.pg_settings import PostgresConfig, read_back
from agents.engines.pg_waits import Weakness, look_for_weakness
from config.enginesettings import AT_START, CHANGED_RUNNING, WITHIN_BOUNDS

LIMIT_S = 10

OVERRIDDEN = """
SELECT name, sourcefile FROM pg_file_settings
WHERE name = ANY($1) AND sourcefile LIKE '%postgresql.auto.conf' ORDER BY name
"""
STATE = """
SELECT pg_is_in_recovery() AS standby,
       current_setting('wal_log_hints') = 'on' OR current_setting('data_checksums') = 'on' AS hints,
       current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on' AS safe,
       current_setting('hba_file') AS hba_file
"""
UNREAD_RULES = """
SELECT line_number, error FROM pg_hba_file_rules WHERE error IS NOT NULL ORDER BY line_number
"""


async def running_findings(what: str, config: PostgresConfig) -> list[Finding]:
    """What a running engine says; nothing when none runs."""
    if not (config.sockets / f".s.PGSQL.{config.port}").exists():
        return []
    try:
        async with asyncio.timeout(LIMIT_S):
            connection = await connect(config)
            try:
                return await _asked(what, config, connection)
            finally:
                connection.terminate()
    except (OSError, asyncpg.CannotConnectNowError):
        # A socket that a dead engine left, or one that still recovers.
        return []
    except (TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, EngineError) as error:
        text = f"its running engine cannot be asked: {error or f'no answer in {LIMIT_S} s'}"
        return [fail(what, text, "look at engine.log in the service's socket_directory")]


async def _asked(what: str, config: PostgresConfig, connection: Any) -> list[Finding]:
    state = await connection.fetchrow(STATE)
    lacking = (await connection.fetchrow(LACKING))[0]
    verifiers = await connection.fetchrow(VERIFIERS)
    findings = role_findings(what, lacking, state["standby"])
    passwords = read_passwords(config)
    if not (fits(verifiers[0], passwords.replication) and fits(verifiers[1], passwords.rewind)):
        findings.append(
            warn(
                what,
                "a password of its files is not the one in the database",
                "give every host of the service the same files; a primary takes them within 5 s",
            )
        )
    owned = [*AT_START, *CHANGED_RUNNING, *WITHIN_BOUNDS]
    overridden = [row["name"] for row in await connection.fetch(OVERRIDDEN, owned)]
    unread = await connection.fetch(UNREAD_RULES)
    weakness = await weakness_of(config) if _waits(config) and not state["standby"] else None
    return [
        *findings,
        *(sync_findings(what, weakness) if weakness else ()),
        *setting_findings(what, config, state, overridden),
        *rule_findings(what, unread),
    ]


def role_findings(what: str, lacking: list[str], standby: bool) -> list[Finding]:
    """What the roles lack."""
    if not lacking:
        return [ok(what, "its roles have the least rights that they need")]
    mend = "the primary's agent makes it so within 5 s; else run the grants below there"
    if standby:
        mend = "a standby has what its upstream has: start the agent there, or run the grants there"
    return [fail(what, f"roles lack: {line}", mend) for line in lacking]


def setting_findings(
    what: str, config: PostgresConfig, state: Any, overridden: list[str]
) -> list[Finding]:
    """Settings that are not as Saling needs them."""
    findings = [
        warn(
            what,
            f"ALTER SYSTEM sets {name}, which Saling gives at the start",
            f"ALTER SYSTEM RESET {name}",
        )
        for name in overridden
    ]
    if not state["hints"]:
        text = "wal_log_hints and data checksums are both off: it could not be rewound"
        findings.append(fail(what, text, "restart it under Saling, which turns the hints on"))
    if not state["safe"]:
        text = "fsync or full_page_writes is off: a crash of the host loses acknowledged writes"
        findings.append(warn(what, text, "turn both on"))
    if state["hba_file"] != str(config.hba_file):
        text = f"its rules are those of {state['hba_file']}, not Saling's own"
        findings.append(warn(what, text, "restart the engine under this version of the agent"))
    return findings


def _waits(config: PostgresConfig) -> bool:
    """Whether commits shall wait for a backup, as the agent last wrote it down."""
    return bool(read_back(config).sync)


async def weakness_of(config: PostgresConfig) -> Weakness:
    """What a primary in sync mode has that weakens it. Errors as `Session.row`."""
    session = Session(config)
    try:
        return await look_for_weakness(session, config)
    finally:
        session.cut()


def sync_findings(what: str, found: Weakness) -> list[Finding]:
    """What lets commits through that no backup has."""
    findings = []
    for text in found.weakened:
        wrong, _, mend = text.rpartition(": ")
        findings.append(warn(what, f"sync mode is weakened: {wrong}", mend))
    if found.unseen:
        mend = "docs/runbooks/sync-service.md says what they mean"
        findings.append(warn(what, found.unseen, mend))
    return findings or [ok(what, "no setting weakens sync mode")]


def rule_findings(what: str, unread: list[Any]) -> list[Finding]:
    """Lines of pg_hba.conf that PostgreSQL does not understand."""
    return [
        fail(
            what,
            f"pg_hba.conf, line {row['line_number']}: {row['error']}",
            "correct the line; until then changes of the rules are not taken up, nor a start",
        )
        for row in unread
    ]
