"""Whether this host and this user could run the copy: before the server itself is asked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import signal
from collections.abc import Iterator
from pathlib import Path

from agents.adoption.facts import Facts
from agents.adoption.plan import Plan
from agents.assembly import major_of
from agents.doctor.findings import Finding, fail, ok
from agents.durable import running_agent
from agents.engines.pg_tools import ENVIRONMENT, as_engine_user
from agents.guard.engine import EngineLock, namespaces_allowed

VERSION_LIMIT_S = 10.0


def host_findings(plan: Plan) -> Iterator[Finding]:
    """Nobody else works on it, and we may."""
    config = plan.engine
    agent = running_agent(plan.state_directory) if plan.state_directory.exists() else None
    if agent is not None:
        mend = "stop it (its unit), adopt, then start it again"
        yield fail("agent", f"agent {plan.agent} runs (process {agent})", mend)
    if not EngineLock(str(config.data.resolve()), str(config.run.resolve())).free():
        text = f"{config.data}: runs under a guard of Saling already"
        yield fail("engine", text, "there is nothing to adopt: start the agent")
    yield from _user(config.data)
    if os.geteuid() == 0 and not namespaces_allowed():
        text = "PostgreSQL does not run as root, and namespaces are not allowed here"
        yield fail("user", text, "run agent and adopt as another user, who owns the data")


def _user(data: Path) -> Iterator[Finding]:
    owner, here = data.stat().st_uid, os.geteuid()
    if owner != here:
        mend = (
            f"User={_name(owner)} in the agent's unit, and run this as that user: "
            f"runuser -u {_name(owner)} -- saling-agent adopt ..."
        )
        yield fail("user", f"this runs as {_name(here)}, the data belong to {_name(owner)}", mend)
        return
    closed = [path for path in (data, data.parent) if not os.access(path, os.W_OK | os.X_OK)]
    for path in closed:
        yield fail("user", f"{_name(here)} may not write in {path}", f"chown {_name(here)} {path}")
    if not closed:
        yield ok("user", f"{_name(here)} owns the data, as the agent's user must")


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


async def program_findings(plan: Plan) -> list[Finding]:
    """The programs that Saling would start it with are of its version."""
    postgres = plan.engine.binaries / "postgres"
    written = (plan.engine.data / "PG_VERSION").read_text().strip()
    try:
        shown = await _version_of(postgres)
    except OSError as error:
        reason = error.strerror or "no answer"
        return [fail("programs", f"{postgres}: {reason}", "install it anew")]
    if str(major_of(shown)) != written:
        text = f"{postgres} is {shown}, the data are of {written}"
        mend = f"name PostgreSQL {written}'s directory as `binaries` in the agent's file"
        return [fail("programs", text, mend)]
    return [ok("programs", f"PostgreSQL {written} in {plan.engine.binaries}")]


async def _version_of(postgres: Path) -> str:
    """What it says of itself. OSError, TimeoutError; nothing of it is left running."""
    process = await asyncio.create_subprocess_exec(
        *as_engine_user(str(postgres), "--version"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(VERSION_LIMIT_S):
            said, _ = await process.communicate()
    except BaseException:
        # It may be a script, so whatever it started ends with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    return said.decode(errors="replace").strip()


def file_findings(plan: Plan, facts: Facts) -> Iterator[Finding]:
    """What the DBA's settings name can be used by an engine under Saling's guard."""
    if facts.settings["ssl"] == "on":
        yield from _key(plan, Path(facts.settings["ssl_key_file"]))
    hba = plan.engine.dba_hba
    for path in (hba, hba.parent):
        if not os.access(path, os.W_OK):
            mend = f"chown {_name(os.geteuid())} {path}"
            yield fail("the DBA's files", f"{path} cannot be written by this user", mend)


def _key(plan: Plan, key: Path) -> Iterator[Finding]:
    """In a user namespace root's files belong to nobody, and PostgreSQL refuses such a key."""
    key = key if key.is_absolute() else plan.engine.data / key
    try:
        owner = key.stat().st_uid
    except OSError as error:
        yield fail("ssl_key_file", f"{key}: {error.strerror}", "let the data's owner read it")
        return
    if owner == os.geteuid() or not namespaces_allowed():
        return
    own = plan.engine.dba_hba.parent / "server.key"
    yield fail(
        "ssl_key_file",
        f"{key} belongs to {_name(owner)}: under the guard PostgreSQL takes only its own user's",
        f"install -o {_name(os.geteuid())} -m 600 {key} {own}; ssl_key_file = '{own}'; reload",
    )
