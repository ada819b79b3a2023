"""Whether the two copies of a service hold the same rows, while clients write on.

Rows of the lab are only ever added once its clients write to one primary. So the primary is read,
then the backup when it has replayed all that the primary had by then, then the primary again:

    what the primary had  <=  what the backup has  <=  what the primary has

each table as a bag of rows, each row as its hash.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import asyncpg

from lab.running.ground import Ground

CATCH_UP_S = 60.0
LOOK_AGAIN_S = 0.05
TABLES_SQL = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
STREAMING_SQL = (
    "SELECT pg_is_in_recovery() AND EXISTS"
    " (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')"
    " AND pg_last_wal_replay_lsn() >= $1::text::pg_lsn"
)

Rows = dict[str, Counter[str]]
"""By table: how often there is a row of each hash."""


async def difference(ground: Ground, service: str) -> str:
    """What the backup's rows have other than the primary's; empty when they are the same.

    Raises TimeoutError when the backup does not stream and replay what the primary had.
    """
    primary_site = await ground.primary_site(service)
    backup_site = next(s for s in ground.plan.service(service).sites if s != primary_site)
    primary = await ground.as_superuser(service, primary_site)
    try:
        backup = await ground.as_superuser(service, backup_site)
        try:
            before = await _rows(primary)
            await _replayed(backup, backup_site, await _end(primary))
            copied = await _rows(backup)
            after = await _grown(primary, copied)
        finally:
            await backup.close(timeout=2)
    finally:
        await primary.close(timeout=2)
    return told_of(before, copied, after, backup_site)


def told_of(before: Rows, copied: Rows, after: Rows, backup_site: str) -> str:
    """What the copy lacks of what the primary had, and has of what the primary never had."""
    found = []
    for table in sorted({*before, *copied}):
        here = copied.get(table, Counter())
        missing = (before.get(table, Counter()) - here).total()
        foreign = (here - after.get(table, Counter())).total()
        if missing or foreign:
            found.append(f"{table}: {missing} rows are missing, {foreign} are not the primary's")
    return f"the copy at {backup_site} differs: {'; '.join(found)}" if found else ""


async def _end(primary: asyncpg.Connection) -> str:
    return str(await primary.fetchval("SELECT pg_current_wal_insert_lsn()::text"))


async def _replayed(backup: asyncpg.Connection, site: str, end: str) -> None:
    deadline_s = asyncio.get_running_loop().time() + CATCH_UP_S
    while not await backup.fetchval(STREAMING_SQL, end):
        if asyncio.get_running_loop().time() > deadline_s:
            raise TimeoutError(
                f"{site}: the backup does not stream, or has not replayed the log up to {end}, "
                f"within {CATCH_UP_S} s"
            )
        await asyncio.sleep(LOOK_AGAIN_S)


async def _grown(primary: asyncpg.Connection, copied: Rows) -> Rows:
    """The primary's rows once more. A commit may show on the backup a moment earlier than on the
    primary, whose client is answered last: so it is looked twice before a row is called foreign."""
    after = await _rows(primary)
    if all(copied[table] <= after.get(table, Counter()) for table in copied):
        return after
    await asyncio.sleep(LOOK_AGAIN_S)
    return await _rows(primary)


async def _rows(connection: asyncpg.Connection) -> Rows:
    tables = [row["tablename"] for row in await connection.fetch(TABLES_SQL)]
    return {table: await _hashes(connection, table) for table in tables}


async def _hashes(connection: asyncpg.Connection, table: str) -> Counter[str]:
    rows = await connection.fetch(f'SELECT md5(t::text) AS hash FROM public."{table}" AS t')
    return Counter(row["hash"] for row in rows)
