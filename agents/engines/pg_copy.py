"""How a copy comes to be: created, or seeded from the upstream.

None of this starts the server or needs a lease; the agent starts the copy afterwards.
"""

from __future__ import annotations

import asyncio
import re

from agents.core.observation import Disk
from agents.engines.base import EngineBusy, EngineError, OnProgress, Progress, Turn, Upstream
from agents.engines.pg_directory import Directory
from agents.engines.pg_roles import SUPERUSER, provision_sql, read_passwords
from agents.engines.pg_settings import PostgresConfig, conninfo, settings_given
from agents.engines.pg_tablespaces import refusal
from agents.engines.pg_tools import ToolFailed, Tools
from agents.engines.pg_upstream import ask

INITDB_LIMIT_S = 120

PERMANENT = re.compile(
    r"authentication failed|no pg_hba\.conf entry|permission denied|must be superuser"
    r"|No space left|exists but is not empty|different system|incompatible|not supported"
    r"|does not match"
)
UNREACHABLE = re.compile(
    r"could not connect|connection to server|server closed the connection|terminating connection"
    r"|could not receive|could not send|timeout expired"
)


async def create(tools: Tools, directory: Directory, config: PostgresConfig) -> str:
    """A new database with our roles; returns its system identifier."""
    directory.need_nothing()
    made = await asyncio.to_thread(directory.fresh, directory.creating)
    await tools.run(
        "initdb",
        *("-D", str(made), "-U", SUPERUSER, "--encoding=UTF8", "--locale=C", "--data-checksums"),
        *("--auth-local=peer", "--auth-host=scram-sha-256"),
        timeout_s=INITDB_LIMIT_S,
    )
    await tools.run(
        "postgres",
        *("--single", "-D", str(made), "-c", "exit_on_error=on"),
        *settings_given(config, await tools.major()),
        "postgres",
        timeout_s=INITDB_LIMIT_S,
        stdin=provision_sql(read_passwords(config)).encode(),
    )
    identifier = (await tools.control_data_of(made)).system_identifier
    await asyncio.to_thread(directory.put_in_place, made)
    return identifier


async def seed(
    tools: Tools,
    directory: Directory,
    config: PostgresConfig,
    upstream: Upstream,
    on_progress: OnProgress,
    turn: Turn,
) -> None:
    """Copy the upstream. A copy that pg_rewind left half done is kept aside, not removed."""
    half_rewound = directory.disk() is Disk.PARTIAL and any(directory.data.glob("*"))
    if not half_rewound:
        directory.need_nothing()
    await copy(tools, directory, config, upstream, on_progress, turn)
    if half_rewound:
        await asyncio.to_thread(directory.move_aside)
    await asyncio.to_thread(directory.put_in_place, directory.seeding)


async def copy(
    tools: Tools,
    directory: Directory,
    config: PostgresConfig,
    upstream: Upstream,
    on_progress: OnProgress,
    turn: Turn,
) -> None:
    """A whole copy of the upstream beside the data directory, when its turn has come."""
    remote = await ask(config, upstream, checkpoint=False)
    same_system(upstream, remote.system_identifier)
    if remote.tablespaces:
        raise EngineError(f"{upstream.address}: {refusal(remote.tablespaces)}")
    async with turn():
        # One that outlived an agent would go on writing into what is removed here.
        tools.need_idle()
        made = await asyncio.to_thread(directory.fresh, directory.seeding)
        rate = [f"--max-rate={config.seed_rate_kib_s}"] if config.seed_rate_kib_s else []
        told = Told(on_progress)
        try:
            await tools.run(
                "pg_basebackup",
                *("-D", str(made), "-d", conninfo(config, upstream), "--slot", upstream.slot),
                *("--wal-method=stream", "--checkpoint=fast", "--progress", "--no-password", *rate),
                timeout_s=None,
                on_line=told.hear,
                on_work=told.tell,
            )
        except ToolFailed as failure:
            raise _kind_of(failure)(f"seeding from {upstream.address}: {failure}") from None
    copied = (await tools.control_data_of(made)).system_identifier
    same_system(upstream, copied)


class Told:
    """What pg_basebackup says of its progress, told on, and told again in silence."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self._last = Progress(doing="copying the upstream")

    def hear(self, line: str) -> None:
        if found := re.search(r"(\d+)/(\d+) kB", line):
            done, total = int(found[1]) * 1024, int(found[2]) * 1024
            self._last = Progress("copying the upstream", done, total)
            self.tell()

    def tell(self) -> None:
        self._on_progress(self._last)


def same_system(upstream: Upstream, found: str) -> None:
    """EngineError when another database answers there."""
    if upstream.system_identifier and upstream.system_identifier != found:
        raise EngineError(
            f"{upstream.address}: is system {found}, not {upstream.system_identifier};"
            " another database answers there: check the address"
        )


def _kind_of(failure: ToolFailed) -> type[EngineError]:
    return EngineError if PERMANENT.search(failure.said) else EngineBusy
