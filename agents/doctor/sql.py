"""The doctor's look at PostgreSQL: programs, data directory, port, and the grants of its roles."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from agents.assembly import major_of, postgres_config
from agents.core.observation import Disk
from agents.doctor.disk import disk_findings
from agents.doctor.engine import running_findings
from agents.doctor.findings import Finding, fail, ok, warn
from agents.engines.base import EngineError
from agents.engines.pg_directory import Directory
from agents.engines.pg_roles import (
    PROBE_USER,
    REPLICATION_USER,
    REWIND_USER,
    SUPERUSER,
    rights_sql,
)
from agents.engines.pg_running import running_server
from agents.engines.pg_settings import PostgresConfig, check
from agents.engines.pg_tools import SUPPORTED, Tools
from agents.guard.client import GuardClient, GuardError
from config.agent import LocalService
from config.values import split_address

TOOLS = ("postgres", "initdb", "pg_basebackup", "pg_rewind", "pg_controldata")

GRANTS = (
    "-- in database postgres of the primary, as a superuser; one that Saling creates has them",
    f"CREATE ROLE {SUPERUSER} SUPERUSER LOGIN;  -- over the local socket only",
    f"CREATE ROLE {REPLICATION_USER} LOGIN REPLICATION PASSWORD '...';",
    f"CREATE ROLE {REWIND_USER} LOGIN PASSWORD '...';",
    f"CREATE ROLE {PROBE_USER} LOGIN;  -- over the local socket only",
    *rights_sql(),
)
"""What a cluster that Saling takes over needs; passwords are those of the agent's files."""


async def engine_findings(service: LocalService) -> list[Finding]:
    """Everything about one service's engine."""
    what = f"service {service.name}"
    try:
        config = postgres_config(service)
        check(config)
        guard = GuardClient(config.run, config.data)
    except (EngineError, GuardError, OSError) as error:
        return [fail(what, str(error), "correct this service in the agent's file")]
    findings = await _programs(what, config)
    findings += await _data(what, config)
    findings += disk_findings(what, service.data_directory, service.disk_floor_bytes)
    findings += await _engine_port(what, service, guard)
    return [*findings, *await running_findings(what, config)]


async def _programs(what: str, config: PostgresConfig) -> list[Finding]:
    missing = [name for name in TOOLS if not (config.binaries / name).is_file()]
    if missing:
        mend = "install PostgreSQL's server and client programs of one version there"
        return [fail(what, f"{config.binaries}: without {', '.join(missing)}", mend)]
    try:
        said = await Tools(config.binaries, config.data).run("postgres", "--version", timeout_s=10)
    except EngineError as error:
        return [fail(what, f"postgres does not run: {error}", "install it anew")]
    major = major_of(said)
    if major not in SUPPORTED:
        return [fail(what, f"{said.strip()}", "PostgreSQL 15 to 18 is needed")]
    written = config.data / "PG_VERSION"
    with contextlib.suppress(OSError):
        if (of := written.read_text().strip()) != str(major):
            mend = f"name the directory of PostgreSQL {of} as `binaries`"
            return [fail(what, f"{config.data} is of PostgreSQL {of}, programs are {major}", mend)]
    return [ok(what, f"PostgreSQL {major} in {config.binaries}")]


async def _data(what: str, config: PostgresConfig) -> list[Finding]:
    disk = Directory(config.data).disk()
    if disk is Disk.FOREIGN:
        return [
            fail(
                what,
                f"{config.data}: holds files that are no database; they are never touched",
                "empty it, or name another data_directory",
            )
        ]
    if disk is not Disk.DATA:
        return [ok(what, f"{config.data}: {disk.value}; it will be created or seeded")]
    try:
        control = await Tools(config.binaries, config.data).control_data()
    except EngineError as error:
        return [fail(what, str(error), "name the right `binaries`, or restore the directory")]
    return [ok(what, f"{config.data}: holds system {control.system_identifier}")]


async def _engine_port(what: str, service: LocalService, guard: GuardClient) -> list[Finding]:
    try:
        status = await guard.status()
    except GuardError:
        if running_server(service.data_directory) is not None:
            text = f"{service.data_directory}: a server runs that Saling did not start"
            return [warn(what, text, "bring it under control: saling-agent adopt; or stop it")]
        return list(_free(what, service))
    finally:
        await guard.close()
    findings = []
    if status.isolation != "namespace":
        text = f"its guard runs the engine without a namespace ({status.isolation})"
        findings.append(warn(what, text, "see isolation"))
    if status.engine is not None:
        text = f"its engine runs under guard {status.pid}, permission {status.permission}"
        return [*findings, ok(what, text)]
    return [*findings, *_free(what, service)]


def _free(what: str, service: LocalService) -> Iterator[Finding]:
    host, port = split_address(service.listen)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            mend = "stop the server there (and its unit), or change `listen` of the service"
            yield fail(what, f"listen {service.listen}: {error.strerror}", mend)
            return
    yield ok(what, f"{service.listen} is free")
