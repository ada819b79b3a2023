"""The one short restart: the old server ends in order, and what is left starts as a standby.

Each step may be done again, so an adoption that died in the middle is simply run once more.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import asyncpg
from msgspec.structs import replace

from agents.adoption.facts import AdoptError
from agents.adoption.managers import start_conf, starts_by_itself
from agents.adoption.plan import Plan
from agents.core.model import Durable
from agents.durable import DurableFile
from agents.engines.pg_directory import Directory, sync, write_whole
from agents.engines.pg_running import running_server
from agents.engines.pg_tools import Tools

CHECKPOINT_LIMIT_S = 600.0
STOP_LIMIT_S = 120.0


async def flush(connection: Any) -> None:
    """What is flushed now need not be flushed while clients wait. Raises AdoptError."""
    try:
        await connection.execute("CHECKPOINT", timeout=CHECKPOINT_LIMIT_S)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise AdoptError(f"CHECKPOINT: {error or 'not done in time'}; run this again") from None


def keep_host_from_starting(config_file: Path) -> bool:
    """Debian's start.conf says `disabled` afterwards; whether it had to be changed."""
    file = start_conf(config_file)
    if file is None or not starts_by_itself(file):
        return False
    try:
        mode = file.stat().st_mode & 0o777 if file.exists() else 0o644
        write_whole(file, "# Saling runs this cluster: see its runbook on adoption.\ndisabled\n")
        file.chmod(mode)
    except OSError as error:
        raise AdoptError(f"{file}: {error.strerror}: echo disabled > {file}, as root") from None
    return True


def keep_standby(plan: Plan) -> None:
    """A wrong topology must not make it primary beside the one that still writes elsewhere.

    Raises DurableError when there is a state of this service that cannot be read.
    """
    file = DurableFile(plan.state_directory, plan.cluster, plan.agent, plan.service.name)
    kept = file.load() if file.path.exists() else None
    uid = kept.service_uid if kept else ""
    durable = kept.durable if kept else Durable()
    file.write(uid, replace(durable, adopted_standby=True))


def mark(plan: Plan, system_identifier: str) -> None:
    """On disk before the server is told to stop: a second run knows that it was checked."""
    write_whole(plan.marker, f"{system_identifier}\n")


def marked(plan: Plan) -> str:
    """The system identifier of the server that an earlier run was stopping; empty if none."""
    try:
        return plan.marker.read_text().strip()
    except FileNotFoundError:
        return ""


async def stop_server(pid: int, data: Path) -> None:
    """In order: clients are sent away, standbys get the rest. Raises AdoptError."""
    try:
        ended = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        running = running_server(data)
        if running is None or running.pid != pid:
            return
        signal.pidfd_send_signal(ended, signal.SIGINT)
        await _until_readable(ended)
    except PermissionError:
        raise AdoptError(f"process {pid}: may not be stopped by this user; be its owner") from None
    except TimeoutError:
        raise AdoptError(
            f"process {pid} did not stop in {STOP_LIMIT_S:.0f} s and goes on stopping: look at its "
            "log, then run this again"
        ) from None
    finally:
        os.close(ended)


async def _until_readable(descriptor: int) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        async with asyncio.timeout(STOP_LIMIT_S):
            await ready.wait()
    finally:
        loop.remove_reader(descriptor)


async def lay_to_rest(plan: Plan, system_identifier: str) -> bool:
    """The stopped copy becomes one that starts as a standby; whether it had ended in order."""
    data = plan.engine.data
    control = await Tools(plan.engine.binaries, data).control_data()
    if control.system_identifier != system_identifier:
        raise AdoptError(
            f"{data}: holds {control.system_identifier} now, not {system_identifier}: it was "
            "exchanged meanwhile; look who did that, then run this again"
        )
    if running_server(data) is not None:
        raise AdoptError(f"{data}: somebody started a server on it again: see who, run this again")
    await asyncio.to_thread(Directory(data).make_standby)
    with contextlib.suppress(FileNotFoundError):
        plan.marker.unlink()
        sync(plan.marker.parent)
    return control.clean
