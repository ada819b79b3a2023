"""What every engine must do, on real processes: one run for each PostgreSQL version found."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from msgspec.structs import replace

from agents.core.observation import Disk, ProbeKind
from agents.engines.base import EngineBusy, EngineError
from agents.engines.pg_session import PROBE
from agents.engines.pg_tools import as_engine_user
from agents.guard.client import now_ms
from protocol.messages import Role
from tests.contracts.conftest import FOUND, VERSIONS, MakeSite, Site, ignore, until

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize("major", VERSIONS)
def test_every_version_that_is_promised_is_tried(major: int) -> None:
    if major not in FOUND:
        pytest.skip(f"no server programs of PostgreSQL {major} on this machine")


async def test_a_created_database_is_a_stopped_standby_with_our_roles(make_site: MakeSite) -> None:
    site = make_site("a")
    assert (await site.engine.observe()).disk is Disk.EMPTY
    identifier = await site.engine.create()
    seen = await site.engine.observe()
    assert (seen.role, seen.disk, seen.clean) == (Role.DOWN, Disk.DATA, True)
    assert seen.system_identifier == identifier
    assert (site.config.data / "standby.signal").exists()
    await site.engine.start_standby(None)
    assert await site.sql("SELECT rolreplication FROM pg_roles WHERE rolname LIKE 'saling_r%'")
    assert await site.sql("SELECT current_setting('data_checksums')") == "on"


async def test_a_created_database_starts_as_a_standby_with_less_than_the_usual_settings(
    make_site: MakeSite,
) -> None:
    site = make_site("a")
    site.config = replace(site.config, settings={"max_connections": "30"})
    await site.restart_agent()
    await site.engine.create()
    await site.engine.start_standby(None)
    assert await site.sql("SELECT current_setting('max_connections')") == "30"


async def test_what_is_not_empty_is_never_initialised_or_seeded_over(make_site: MakeSite) -> None:
    site = make_site("a")
    site.config.data.mkdir(parents=True)
    precious = site.config.data / "thesis.txt"
    precious.write_text("years of work")
    assert (await site.engine.observe()).disk is Disk.FOREIGN
    with pytest.raises(EngineError, match="not empty"):
        await site.engine.create()
    with pytest.raises(EngineError, match="not empty"):
        await site.engine.seed(site.upstream("b"), ignore)
    with pytest.raises(EngineError, match="foreign"):
        await site.engine.start_standby(None)
    assert [path.name for path in site.config.data.iterdir()] == ["thesis.txt"]
    assert precious.read_text() == "years of work"


async def test_a_standby_is_read_only_and_a_primary_needs_a_lease(
    make_site: MakeSite, template: Path
) -> None:
    site = make_site("a")
    shutil.copytree(template, site.config.data)
    with pytest.raises(EngineError, match="no lease"):
        await site.engine.start_primary(30_000)
    assert (site.config.data / "standby.signal").exists()
    await site.engine.start_standby(None)
    assert (await site.engine.observe()).role is Role.STANDBY
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await site.sql("CREATE TABLE t ()")
    with pytest.raises(EngineError, match="no lease"):
        await site.engine.promote(30_000)
    assert (await site.engine.probe(5000)).kind is ProbeKind.SHARED
    await site.engine.stop(30_000)
    assert (await site.engine.observe()).clean


async def test_a_primary_commits_and_is_a_standby_at_rest(
    make_site: MakeSite, template: Path
) -> None:
    site = make_site("a")
    await site.start_as_primary(template)
    assert (site.config.data / "standby.signal").exists()
    first = await site.engine.probe(10_000)
    second = await site.engine.probe(10_000)
    assert first.kind is second.kind is ProbeKind.COMMITTED
    assert second.position_bytes > first.position_bytes
    seen = await site.engine.observe()
    assert (seen.role, seen.timeline) == (Role.PRIMARY, 1)
    assert seen.position_bytes >= second.position_bytes
    assert seen.recovery_bytes > 0
    assert await site.sql("SELECT number FROM saling.probe WHERE service = 'orders'") == 2


async def test_clients_are_counted_without_sessions_of_salings_own(
    make_site: MakeSite, template: Path
) -> None:
    site = make_site("a")
    with pytest.raises(EngineBusy):
        await site.engine.connections()
    await site.start_as_primary(template)
    await site.engine.probe(10_000)
    before = await site.engine.connections()
    client = await asyncpg.connect(
        host=str(site.config.sockets), port=site.config.port, user="saling", database="postgres"
    )
    try:
        assert await site.engine.connections() == before + 1
    finally:
        client.terminate()


async def test_a_probe_tells_that_the_log_went_on_in_another_file(
    make_site: MakeSite, template: Path
) -> None:
    """What it grew by then may be padding: a rate made of it would look like a flood."""
    site = make_site("a")
    await site.start_as_primary(template)
    first, second = await site.engine.probe(10_000), await site.engine.probe(10_000)
    assert first.log_file == second.log_file != ""
    await site.sql("SELECT pg_switch_wal()")
    assert (await site.engine.probe(10_000)).log_file > second.log_file


async def test_a_probe_tells_what_a_backup_would_share(make_site: MakeSite, template: Path) -> None:
    site = make_site("a")
    await site.start_as_primary(template)
    await site.sql("ALTER SYSTEM SET default_transaction_read_only = on")
    await site.engine.guard.signal("SIGHUP")

    async def read_only() -> bool:
        return (await site.engine.probe(10_000)).kind is ProbeKind.SHARED

    await until(read_only, "the probe obeys default_transaction_read_only")
    (site.config.data / "postgresql.auto.conf").write_text("")
    await site.engine.guard.signal("SIGHUP")

    async def committed() -> bool:
        return (await site.engine.probe(10_000)).kind is ProbeKind.COMMITTED

    await until(committed, "writable again")
    async with locked(site):
        seen = await site.engine.probe(1000)
        assert (seen.kind, "locked" in seen.reason) == (ProbeKind.SHARED, True)
    await site.sql("ALTER TABLE saling.probe RENAME TO another")
    assert (await site.engine.probe(10_000)).kind is ProbeKind.SHARED


async def test_used_up_transaction_numbers_are_an_illness_that_travels(
    make_site: MakeSite, template: Path
) -> None:
    site = make_site("a")
    shutil.copytree(template, site.config.data)
    # Two million before the oldest row would be in the future: PostgreSQL stops giving numbers.
    number = 716 + 2**31 - 2_000_000
    segment = number // (8192 * 4 * 32)
    (site.config.data / "pg_xact" / f"{segment:04X}").write_bytes(bytes(262_144))
    reset = str(site.config.binaries / "pg_resetwal")
    command = as_engine_user(reset, "-f", "-x", str(number), str(site.config.data))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
    await site.lease()
    await site.engine.start_primary(30_000)
    seen = await site.engine.probe(10_000)
    assert seen.kind is ProbeKind.SHARED
    assert "wraparound" in seen.reason


@contextlib.asynccontextmanager
async def locked(site: Site) -> AsyncIterator[None]:
    connection = await asyncpg.connect(
        host=str(site.config.sockets), port=site.config.port, user="saling", database="postgres"
    )
    async with connection.transaction():
        await connection.execute("LOCK TABLE saling.probe IN ACCESS EXCLUSIVE MODE")
        yield
    await connection.close()


async def test_a_commit_that_hangs_is_not_taken_for_a_locked_table_by_later_probes(
    make_site: MakeSite, template: Path
) -> None:
    """It holds its row: a backup, whose disk is another, would not share that."""
    site = make_site("a")
    await site.start_as_primary(template)
    assert (await site.engine.probe(10_000)).kind is ProbeKind.COMMITTED
    async with committing_for_ever(site):
        seen = [await site.engine.probe(1000) for _ in range(3)]
        assert {one.kind for one in seen} == {ProbeKind.TIMEOUT}
        assert "earlier commit" in seen[-1].reason

    async def committed() -> bool:
        return (await site.engine.probe(10_000)).kind is ProbeKind.COMMITTED

    await until(committed, "the hanging commit has ended")


@contextlib.asynccontextmanager
async def committing_for_ever(site: Site) -> AsyncIterator[None]:
    """A probe that is given up and waits in its commit: for a backup, as others do for a disk."""
    await site.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    await site.engine.guard.signal("SIGHUP")
    probing = await asyncpg.connect(
        host=str(site.config.sockets),
        port=site.config.port,
        user="saling",
        database="postgres",
        server_settings={"application_name": "saling", "synchronous_commit": "on"},
    )
    sql = PROBE.replace("SET LOCAL synchronous_commit = 'local';", "")
    sql = sql.format(lock_ms=60_000, statement_ms=60_000, service="'orders'")
    hanging = asyncio.create_task(probing.execute(sql))

    async def waits() -> bool:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        return bool(await site.sql(waiting))

    await until(waits, "a commit hangs")
    try:
        yield
    finally:
        await site.sql("ALTER SYSTEM RESET synchronous_standby_names")
        await site.engine.guard.signal("SIGHUP")
        await hanging
        await probing.close()


async def test_a_frozen_server_times_out_and_a_dead_one_is_local(
    make_site: MakeSite, template: Path
) -> None:
    site = make_site("a")
    await site.start_as_primary(template)
    await site.engine.probe(10_000)
    await site.engine.observe()
    for pid in site.processes():
        os.kill(pid, signal.SIGSTOP)
    assert (await site.engine.probe(300)).kind is ProbeKind.TIMEOUT
    assert (await site.engine.probe(300)).kind is ProbeKind.TIMEOUT
    with pytest.raises(EngineBusy, match="no answer"):
        await site.engine.observe()
    await site.engine.kill()
    assert site.processes() == []
    assert (await site.engine.probe(10_000)).kind is ProbeKind.LOCAL


async def test_kill_leaves_no_process_and_the_next_start_recovers(
    make_site: MakeSite, template: Path
) -> None:
    site = make_site("a")
    await site.start_as_primary(template)
    await site.sql("CREATE TABLE t AS SELECT generate_series(1, 20000) AS i")
    assert len(site.processes()) > 3
    await site.engine.kill()
    assert site.processes() == []
    seen = await site.engine.observe()
    assert (seen.role, seen.disk, seen.clean) == (Role.DOWN, Disk.DATA, False)
    assert seen.recovery_bytes > 500_000
    await site.engine.start_primary(30_000)
    assert await site.sql("SELECT count(*) FROM t") == 20000


async def test_a_crash_ends_the_engine_instead_of_making_it_a_standby(
    make_site: MakeSite, template: Path
) -> None:
    site = make_site("a")
    await site.start_as_primary(template)
    first = (await site.engine.guard.status()).engine
    assert first
    os.kill(next(pid for pid in site.processes() if pid != first.pid), signal.SIGKILL)
    ended = await site.engine.guard.wait_engine_gone(30_000)
    assert ended
    assert ended.reason == "exited"
    assert site.processes() == []
    assert (await site.engine.observe()).role is Role.DOWN


async def test_the_deadline_ends_the_engine_while_nobody_is_connected(
    make_site: MakeSite, template: Path
) -> None:
    site = make_site("a")
    shutil.copytree(template, site.config.data)
    await site.engine.guard.ensure_running()
    await site.engine.guard.lease(now_ms() + 3000)
    await site.engine.start_primary(30_000)
    await site.engine.close()

    async def gone() -> bool:
        return site.processes() == []

    await until(gone, "fenced without an agent")
    await site.restart_agent()
    await site.engine.guard.wait_engine_gone(30_000)
    status = await site.engine.guard.status()
    assert status.last_fence
    with pytest.raises(EngineError, match="no lease"):
        await site.engine.start_primary(30_000)


async def test_killing_the_guard_ends_all_of_the_engine_at_once(
    make_site: MakeSite, template: Path
) -> None:
    site = make_site("a")
    await site.start_as_primary(template)
    status = await site.engine.guard.status()
    if status.isolation != "namespace":
        pytest.skip("PID namespaces are not allowed here")
    os.kill(status.pid, signal.SIGKILL)
    killed_ms = now_ms()

    async def gone() -> bool:
        return site.processes() == []

    await until(gone, "the engine died with its guard")
    print(f"gone {now_ms() - killed_ms} ms after its guard was killed")
    assert (await site.engine.observe()).role is Role.DOWN
    await site.engine.guard.ensure_running()
    with pytest.raises(EngineError, match="no lease"):
        await site.engine.start_primary(30_000)
    await site.lease()
    await site.engine.start_primary(30_000)


async def test_without_namespaces_no_process_is_left_either(
    make_site: MakeSite, template: Path
) -> None:
    site = make_site("a", "plain")
    if os.geteuid() == 0:
        shutil.copytree(template, site.config.data)
        with pytest.raises(EngineError, match="does not run as root"):
            await site.engine.start_standby(None)
        pytest.skip("PostgreSQL does not run as root without namespaces")
    await site.start_as_primary(template)
    await site.engine.kill()
    assert site.processes() == []
    await site.engine.start_primary(30_000)
    os.kill((await site.engine.guard.status()).pid, signal.SIGKILL)
    await site.engine.kill()
    assert site.processes() == []
    assert (await site.engine.observe()).role is Role.DOWN
    await site.lease()
    await site.engine.start_primary(30_000)


async def test_a_restarted_agent_finds_the_engine_as_it_was_and_extends_its_lease(
    make_site: MakeSite, template: Path
) -> None:
    site = make_site("a")
    await site.start_as_primary(template)
    before = await site.engine.guard.status()
    (site.config.data / "standby.signal").unlink()
    await site.restart_agent()
    assert (await site.engine.observe()).role is Role.PRIMARY
    assert (site.config.data / "standby.signal").exists()
    after = await site.engine.guard.status()
    assert after.engine == before.engine
    assert before.deadline_ms
    assert await site.engine.guard.lease(before.deadline_ms + 1000) == before.deadline_ms + 1000


async def test_a_server_that_does_not_accept_yet_is_starting(
    make_site: MakeSite, template: Path
) -> None:
    site = make_site("a")
    shutil.copytree(template, site.config.data)
    with (site.config.data / "postgresql.conf").open("a") as dba:
        dba.write("restore_command = 'sleep 600'\n")
    await site.engine.start_standby(None)
    assert (await site.engine.observe()).role is Role.STARTING
    await site.engine.kill()
    assert site.processes() == []


async def test_programs_of_another_version_are_refused(make_site: MakeSite, template: Path) -> None:
    site = make_site("a")
    shutil.copytree(template, site.config.data)
    (site.config.data / "PG_VERSION").write_text("14\n")
    with pytest.raises(EngineError, match="is of PostgreSQL 14"):
        await site.engine.start_standby(None)
