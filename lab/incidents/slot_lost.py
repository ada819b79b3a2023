"""A backup that is away until its slot is lost: the primary's disk is bounded, the copy made anew.

The backup's site is killed, and far more is written than the primary may keep for it. When the
log that the copy needs next is gone, the site is started again, and the service is left alone
until it is PROTECTED. It takes a ground whose engines are set as SETTINGS says.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import msgspec

from lab.base.records import now_ms
from lab.incidents.incident import Act, Watch, act, seconds
from lab.incidents.same_rows import difference
from lab.running.four_sites import Lab

MIB = 1024 * 1024
KEEP_MIB, MAX_WAL_MIB, SEGMENT_MIB = 32, 64, 16
SETTINGS = {
    "max_slot_wal_keep_size": f"{KEEP_MIB}MB",
    "max_wal_size": f"{MAX_WAL_MIB}MB",
    "min_wal_size": f"{2 * SEGMENT_MIB}MB",
}
BOUND_BYTES = (KEEP_MIB + MAX_WAL_MIB + 2 * SEGMENT_MIB) * MIB
"""What pg_wal may take. A slot's log is counted back from the checkpoint that removes log, and up
to max_wal_size comes until the next one; the segment at either end is there as a whole."""
WRITTEN_BYTES = 2 * BOUND_BYTES
"""So much log is written at least while the backup is away: without a bound it would stay."""
WRITTEN_AT_MOST_BYTES = 8 * BOUND_BYTES
FILL_SQL = (
    "CREATE TABLE IF NOT EXISTS lab_filler (i int PRIMARY KEY, x text STORAGE EXTERNAL);"
    " TRUNCATE lab_filler;"
    " INSERT INTO lab_filler SELECT i, repeat(md5(random()::text), 128)"
    " FROM generate_series(1, 512) AS i"
)
"""Two megabytes of rows in one transaction; they replace the last ones, so the copy stays small."""
PAUSE_S = 0.1
"""Between two fillings, so that the disk is left to the writer that is measured."""
LOOK_AGAIN_S = 0.02


class SlotLost(msgspec.Struct, frozen=True, kw_only=True):
    """What one absence came to."""

    act: Act
    """From the kill until the service was whole again."""
    written_bytes: int
    """Log that the primary wrote while the backup was away."""
    pg_wal_before_bytes: int
    pg_wal_most_bytes: int
    """The most that the primary's pg_wal took until the service was whole again."""
    pg_wal_bound_bytes: int
    whole_after_s: float
    """From the start of the backup's site until the service was PROTECTED again."""
    copied_anew: bool
    """Whether the backup's data directory is another one than before."""
    difference: str
    """What the backup's rows have other than the primary's in the end: see
    `lab.incidents.same_rows`."""

    def wrong(self) -> str:
        """What must not be; empty when all is well."""
        found = [self.difference]
        if self.pg_wal_most_bytes > self.pg_wal_bound_bytes:
            found.append(
                f"the primary's pg_wal took {self.pg_wal_most_bytes} bytes, more than "
                f"{self.pg_wal_bound_bytes}"
            )
        if not self.copied_anew:
            found.append("the backup came back with its old copy, whose log was gone")
        return "; ".join(f"{self.act.name}: {text}" for text in found if text)

    def act_and_after(self) -> Act:
        """All of it is in the act."""
        return self.act


class _Peak:
    """The most that a directory took while it was watched."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.before_bytes = self.most_bytes = _size_bytes(directory)

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            self.most_bytes = max(self.most_bytes, _size_bytes(self._directory))
            await asyncio.sleep(LOOK_AGAIN_S)


async def slot_lost(watch: Watch[Lab]) -> list[SlotLost]:
    """The backup's site is dead until its slot is lost; back, it is copied anew by itself."""
    lab, service = watch.lab, watch.service
    site = await lab.primary_site(service)
    partner = next(s for s in lab.plan.service(service).sites if s != site)
    copy = lab.plan.data_directory(partner) / service
    old_copy = copy.stat().st_ino
    written_bytes, back_ms, whole_ms = 0, 0.0, 0.0

    async def kill() -> None:
        lab.kill_site(partner)

    async def end() -> None:
        nonlocal written_bytes, back_ms, whole_ms
        await lab.wait_for_phase(service, "ALONE")
        written_bytes = await _fill(lab, service, site)
        back_ms = now_ms()
        lab.start_site(partner)
        await lab.wait_until_whole(service)
        whole_ms = now_ms()

    async with _watched(lab.plan.data_directory(site) / service / "pg_wal") as peak:
        done = await act(watch, "backup away until its slot is lost", kill, end)
    unlike = await difference(lab, service)
    watch.quiet_since_ms = now_ms()
    return [
        SlotLost(
            act=done,
            written_bytes=written_bytes,
            pg_wal_before_bytes=peak.before_bytes,
            pg_wal_most_bytes=peak.most_bytes,
            pg_wal_bound_bytes=BOUND_BYTES,
            whole_after_s=seconds(whole_ms - back_ms),
            copied_anew=copy.stat().st_ino != old_copy,
            difference=unlike,
        )
    ]


@asynccontextmanager
async def _watched(directory: Path) -> AsyncIterator[_Peak]:
    peak = _Peak(directory)
    watching = asyncio.create_task(peak.watch(), name=f"size of {directory}")
    try:
        yield peak
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


async def _fill(lab: Lab, service: str, site: str) -> int:
    """Write until the log that an absent copy needs next is gone; returns how much log that was.

    Raises RuntimeError when the primary keeps it for ever.
    """
    connection = await lab.as_superuser(service, site)
    try:
        begin = str(await connection.fetchval("SELECT pg_current_wal_lsn()::text"))
        # It lies behind all that the absent copy has, so what it needs next is gone before it.
        segment = await connection.fetchval("SELECT pg_walfile_name($1::text::pg_lsn)", begin)
        needed = lab.plan.data_directory(site) / service / "pg_wal" / segment
        written_bytes = 0
        while written_bytes < WRITTEN_BYTES or needed.exists():
            if written_bytes > WRITTEN_AT_MOST_BYTES:
                raise RuntimeError(f"{needed}: it is kept after {written_bytes} bytes of log")
            await connection.execute(FILL_SQL)
            await asyncio.sleep(PAUSE_S)
            written_bytes = await _written_bytes(connection, begin)
        return written_bytes
    finally:
        await connection.close(timeout=2)


async def _written_bytes(connection: asyncpg.Connection, begin: str) -> int:
    since = "SELECT (pg_current_wal_lsn() - $1::text::pg_lsn)::bigint"
    return int(await connection.fetchval(since, begin))


def _size_bytes(directory: Path) -> int:
    """Of its files; one that goes away meanwhile counts no more."""
    total = 0
    for file in directory.iterdir():
        with contextlib.suppress(FileNotFoundError):
            total += file.stat().st_size
    return total
