"""`saling-agent doctor`: what is missing on this host and how to mend it, one finding a line.

Looks only; nothing is changed on the host. Exit status: 0 all well, 1 something must be
mended, 3 only warnings.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import getpass
import os
import resource
import shutil
import socket
import stat
import time
from collections.abc import AsyncIterator, Iterator
from enum import StrEnum
from pathlib import Path

import aiomqtt
import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from agents.doctor.checks import checks_findings
from agents.doctor.fences import fence_findings
from agents.doctor.findings import Finding, Level, fail, ok, warn
from agents.doctor.keys import certificate_findings, key_findings
from agents.doctor.sql import GRANTS, engine_findings
from agents.doctor.timing import timing_findings
from agents.durable import DurableError, DurableFile, running_agent
from agents.guard.engine import namespaces_allowed
from agents.network.link import mqtt_client
from config.agent import AgentConfig
from config.brokers import Broker
from config.files import check_agent_files
from config.loader import load_agent
from config.problems import ConfigError
from config.values import split_address
from protocol.session import Denied, subscribe
from protocol.topics import read_by

FREE_LEAST_BYTES = 100 * 1024 * 1024
REACH_LIMIT_S = 2.0
BROKER_LIMIT_S = 8.0
LOCK_LEAST_BYTES = 64 * 1024 * 1024


class Output(StrEnum):
    """How findings are shown."""

    TABLE = "table"
    JSON = "json"


class _Shown(Struct, frozen=True):
    findings: list[Finding]
    grants: tuple[str, ...]


async def examine(file: Path) -> list[Finding]:
    """Everything that is found, in the order in which one would mend it."""
    try:
        loaded = load_agent(file)
    except ConfigError as error:
        return [
            fail("configuration", f"{p.path or p.file}: {p.message}", p.mend)
            for p in error.problems
        ]
    config = loaded.value
    findings = [ok("configuration", f"{file} can be used")]
    findings += [warn("configuration", f"{p.path}: {p.message}", p.mend) for p in loaded.warnings]
    wrong = check_agent_files(config, loaded.base, loaded.file)
    findings += [fail("files", f"{p.path} {p.value}: {p.message}", p.mend) for p in wrong]
    if not wrong:
        findings.append(ok("files", "all files are there, secrets closed to others"))
    findings += key_findings(config)
    findings += certificate_findings(config)
    findings += _state(config)
    findings += checks_findings(config)
    findings += await fence_findings(config)
    findings += [*_clock(), *_namespaces(), *_memory_lock(), *_port(config)]
    async for finding in _outside(config):
        findings.append(finding)
    for service in config.services:
        findings += await engine_findings(service)
    return findings + await timing_findings(config)


def show(findings: list[Finding], output: Output) -> int:
    """Print them; the exit status."""
    if output is Output.JSON:
        print(msgspec.json.encode(_Shown(findings, GRANTS)).decode())
    else:
        _print_table(findings)
    levels = {finding.level for finding in findings}
    if Level.FAIL in levels:
        return 1
    return 3 if Level.WARN in levels else 0


def _print_table(findings: list[Finding]) -> None:
    console = Console(soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for title in ("", "what", "found", "mend"):
        table.add_column(title, overflow="fold")
    colors = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}
    for finding in findings:
        color = colors[finding.level]
        level = f"[{color}]{finding.level.value}[/{color}]"
        table.add_row(level, finding.what, finding.found, finding.mend)
    console.print(table)
    console.print("\nGrants that the roles need in a database that Saling did not create:")
    for line in GRANTS:
        console.print(f"  {line}", markup=False, highlight=False)


def _state(config: AgentConfig) -> Iterator[Finding]:
    what, directory = "state directory", config.state_directory
    if not directory.exists():
        yield _absent(config)
        return
    owner, user = _owner(directory), _agents_user(config)
    if os.geteuid() == 0 and user and user != owner:
        yield fail(
            what,
            f"{directory}: belongs to {owner}; the agent runs as the owner of the data, {user}",
            f"chown -R {user}: {directory}",
        )
    try:
        _try_to_write(directory / ".doctor")
    except OSError as error:
        yield fail(
            what,
            f"{directory}: cannot be written: {error.strerror or error}",
            "give it to the agent's user, or free space on its disk",
        )
        return
    mode = stat.S_IMODE(directory.stat().st_mode)
    if mode & 0o022:
        yield fail(
            what, f"{directory}: others may write (mode {mode:04o})", f"chmod 700 {directory}"
        )
    free = shutil.disk_usage(directory).free
    if free < FREE_LEAST_BYTES:
        yield warn(
            what,
            f"{directory}: {free // 1024**2} MiB free; a full disk stops granting",
            f"free {FREE_LEAST_BYTES // 1024**2} MiB or more",
        )
    yield ok(what, f"{directory}: can be written and flushed")
    yield from _durable_files(config)


def _absent(config: AgentConfig) -> Finding:
    """The agent makes it when it starts, where its user may; a check makes nothing."""
    what, directory = "state directory", config.state_directory
    above = next(parent for parent in directory.absolute().parents if parent.exists())
    root = os.geteuid() == 0
    if not root and os.access(above, os.W_OK | os.X_OK):
        return ok(what, f"{directory}: absent; the agent makes it when it starts")
    user = _agents_user(config) or ("USER" if root else getpass.getuser())
    mend = f"as root: install -d -m 700 -o {user} {directory}"
    if user == "USER":
        mend += ", with the user that runs the agent and owns the data for USER"
    found = "absent" if root else f"absent, and {getpass.getuser()} may not write in {above}"
    return (warn if root else fail)(what, f"{directory}: {found}", mend)


def _agents_user(config: AgentConfig) -> str:
    """Who owns the data that stands already; empty when there is none, or nobody's name fits."""
    owners = (_owner(service.data_directory) for service in config.services)
    return next(filter(None, owners), "")


def _owner(directory: Path) -> str:
    try:
        return directory.owner()
    except (OSError, KeyError):
        return ""


def _try_to_write(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, b"x" * 4096)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        path.unlink()


def _durable_files(config: AgentConfig) -> Iterator[Finding]:
    for service in config.services:
        file = DurableFile(config.state_directory, config.cluster, config.agent, service.name)
        if not file.path.exists():
            continue
        try:
            file.load()
        except DurableError as error:
            what, _, mend = str(error).partition("; ")
            yield fail("durable state", what, mend)


def _clock() -> Iterator[Finding]:
    try:
        time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    except (OSError, AttributeError):
        yield fail("clock", "CLOCK_BOOTTIME cannot be read", "run on Linux")
        return
    yield ok(
        "clock",
        "CLOCK_BOOTTIME can be read; NTP is not needed, and if it steps wall time, a lease "
        "may end early: let it slew",
    )


def _namespaces() -> Iterator[Finding]:
    what = "isolation"
    if namespaces_allowed():
        yield ok(what, "engines run in PID namespaces: they end with their guard, at once")
        return
    yield warn(
        what,
        "user and PID namespaces are not allowed here: a dead guard's engine lives until the agent "
        "has killed each of its processes",
        "allow them: sysctl kernel.unprivileged_userns_clone=1, "
        "kernel.apparmor_restrict_unprivileged_userns=0, or the container's seccomp profile",
    )


def _memory_lock() -> Iterator[Finding]:
    what = "memory lock"
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if os.geteuid() == 0 or soft == resource.RLIM_INFINITY or soft >= LOCK_LEAST_BYTES:
        yield ok(what, "the guard may stay in memory")
        return
    yield warn(
        what,
        f"only {soft // 1024} KiB may be locked: under memory pressure a fence may come late",
        "LimitMEMLOCK=infinity in the unit, or memlock in limits.conf",
    )


def _port(config: AgentConfig) -> Iterator[Finding]:
    what = "port"
    pid = running_agent(config.state_directory) if config.state_directory.exists() else None
    if pid is not None:
        yield ok(what, f"{config.listen}: held by the running agent (process {pid})")
        return
    host, port = split_address(config.listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            mend = "end who listens there" if taken else "name an address of this host"
            yield fail(
                what, f"listen {config.listen}: {error.strerror}", f"{mend}, or change `listen`"
            )
            return
    yield ok(what, f"{config.listen} is free")


async def _outside(config: AgentConfig) -> AsyncIterator[Finding]:
    running = config.state_directory.exists() and running_agent(config.state_directory)
    for broker in config.brokers:
        yield await (_connect(broker) if running else _log_in(config, broker))
    for declared, actual in config.reach.items():
        problem = await _reach_problem(actual)
        if problem:
            mend = "a partner that is down is none of this host's faults; else correct `reach`"
            yield warn("reach", f"{declared} by {actual}: {problem}", mend)
        else:
            yield ok("reach", f"{declared} by {actual}: answers")


async def _connect(broker: Broker) -> Finding:
    """A second login under the agent's name would end the session of the running one."""
    problem = await _reach_problem(broker.address)
    if problem:
        mend = "start the broker, or correct its url"
        return fail("broker", f"{broker.url}: {problem}", mend)
    return ok("broker", f"{broker.url}: answers; the running agent is logged in or says why not")


async def _log_in(config: AgentConfig, broker: Broker) -> Finding:
    what = "broker"
    try:
        async with asyncio.timeout(BROKER_LIMIT_S):
            async with mqtt_client(broker, config.agent) as client:
                for filter_text in read_by(config.cluster, config.agent):
                    await subscribe(client, filter_text)
    except Denied as error:
        said, _, mend = str(error).partition(": ")
        return fail(what, f"{broker.url}: {said}", mend)
    except aiomqtt.exceptions.MqttConnectError as error:
        return fail(what, f"{broker.url}: {error}", "correct username and password_file")
    except (aiomqtt.MqttError, OSError, ValueError, TimeoutError) as error:
        text = str(error) or f"no answer in {BROKER_LIMIT_S:.0f} s"
        mend = "start the broker, correct its url, or its certificates"
        return fail(what, f"{broker.url}: {text}", mend)
    return ok(what, f"{broker.url}: login accepted, own topics may be read")


async def _reach_problem(address: str) -> str:
    host, port = split_address(address)
    try:
        async with asyncio.timeout(REACH_LIMIT_S):
            _, writer = await asyncio.open_connection(host.strip("[]"), port)
    except TimeoutError:
        return f"no answer in {REACH_LIMIT_S:.0f} s"
    except OSError as error:
        return error.strerror or str(error)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return ""
