"""What lets commits through that no backup has, on real servers of every version found."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import asyncpg
import pytest
from msgspec.structs import replace

from agents.doctor.engine import running_findings
from tests.contracts.conftest import MakeSite, Site, until

pytestmark = pytest.mark.postgres


async def connected(site: Site) -> asyncpg.Connection:
    return await asyncpg.connect(
        host=str(site.config.sockets), port=site.config.port, user="saling", database="postgres"
    )


async def write_and_wait(site: Site, table: str) -> None:
    """A commit that waits for a backup; its client is told when the wait is cancelled."""
    connection = await connected(site)
    try:
        await connection.execute(f"CREATE TABLE {table} ()")
    finally:
        connection.terminate()


async def end_the_wait(site: Site, how: str) -> None:
    """Of the one session that waits for its backup."""
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"

    async def waits() -> object:
        return await site.sql(waiting)

    await until(waits, "a commit waits for the backup")
    await site.sql(f"SELECT {how}(({waiting}))")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"logging_collector": "on", "log_destination": "csvlog", "log_error_verbosity": "verbose"},
    ],
    ids=["stderr", "csvlog"],
)
async def test_a_commit_whose_wait_is_cancelled_is_counted_and_stands_at_the_primary(
    make_site: MakeSite, template: Path, settings: dict[str, str]
) -> None:
    site = make_site("a")
    site.config = replace(site.config, settings=settings)
    await site.restart_agent()
    await site.start_as_primary(template)
    await site.sql("SELECT 1")
    await site.engine.weakness()
    await site.engine.set_sync("b")

    async def waits_for_b() -> bool:
        return await site.sql("SELECT current_setting('synchronous_standby_names') <> ''") is True

    await until(waits_for_b, "commits wait for b")
    before = await site.engine.cancelled_waits()
    # A statement that only looks like the warning is none.
    with contextlib.suppress(asyncpg.PostgresError):
        await site.sql("SELECT 1 / 0 -- WARNING:  canceling wait for synchronous replication")
    for number, how in enumerate(("pg_cancel_backend", "pg_terminate_backend"), start=1):
        client = asyncio.create_task(write_and_wait(site, f"t{number}"))
        await end_the_wait(site, how)
        with contextlib.suppress(asyncpg.PostgresError, OSError):
            await client

        async def is_counted(number: int = number) -> bool:
            return await site.engine.cancelled_waits() == before + number

        await until(is_counted, f"{number} cancelled waits are counted")
        assert await site.sql(f"SELECT to_regclass('t{number}') IS NOT NULL")


async def test_settings_that_weaken_sync_mode_are_found_and_named_with_their_mend(
    make_site: MakeSite, template: Path
) -> None:
    site = make_site("a")
    await site.start_as_primary(template)
    assert await site.engine.weakness() == type(await site.engine.weakness())()
    await site.sql("CREATE ROLE report")
    await site.sql("ALTER ROLE report SET synchronous_commit = off")
    await site.sql("ALTER ROLE report IN DATABASE template1 SET log_min_messages = error")
    await site.sql("ALTER DATABASE template1 SET synchronous_commit = remote_write")
    await site.sql("ALTER DATABASE postgres SET synchronous_commit = remote_apply")
    found = await site.engine.weakness()
    assert found.weakened == (
        "role report has synchronous_commit = off: ALTER ROLE report RESET synchronous_commit",
        "database template1 has synchronous_commit = remote_write: ALTER DATABASE template1 RESET "
        "synchronous_commit",
    )
    assert "role report in database template1 has log_min_messages = error" in found.unseen
    await site.engine.set_sync("b")
    connection = await connected(site)
    await connection.execute("SET synchronous_commit = local")
    await connection.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
    await connection.execute("ALTER DATABASE template1 RESET synchronous_commit")
    await connection.execute("ALTER ROLE report RESET synchronous_commit")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()

    async def is_found() -> bool:
        return any("not Saling's" in text for text in (await site.engine.weakness()).weakened)

    await until(is_found, "the names that are not Saling's are found")


async def test_a_global_setting_that_waits_for_nobody_is_found(
    make_site: MakeSite, template: Path
) -> None:
    site = make_site("a")
    site.config = replace(site.config, settings={"synchronous_commit": "local"})
    await site.restart_agent()
    await site.start_as_primary(template)
    assert (await site.engine.weakness()).weakened == (
        "synchronous_commit is local for all: set it to on",
    )


async def test_the_doctor_names_what_weakens_a_running_sync_primary(
    make_site: MakeSite, template: Path
) -> None:
    site = make_site("a")
    await site.start_as_primary(template)
    await site.sql("CREATE ROLE report")
    await site.sql("ALTER ROLE report SET synchronous_commit = local")
    told = [f.found for f in await running_findings("orders", site.config)]
    assert not any("sync mode" in text for text in told)
    await site.engine.set_sync("b")

    async def is_named() -> bool:
        found = await running_findings("orders", site.config)
        return any("sync mode is weakened: role report has" in f.found for f in found)

    await until(is_named, "the doctor names it")
