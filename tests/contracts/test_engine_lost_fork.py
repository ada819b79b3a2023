"""An old primary wrote so much alone that its log at the fork is gone, on real processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from agents.engines.base import Rejoined, Return
from agents.engines.pg_report import read_report
from agents.engines.pg_wal import segments
from protocol.messages import Role
from tests.contracts.conftest import MakeSite, Pair, Site, ignore, until

pytestmark = pytest.mark.postgres

SEGMENT_BYTES = 16 * 2**20


async def with_little_log(make_site: MakeSite, template: Path) -> Pair:
    """As in the fixture `pair`, with a primary that keeps log for nobody."""
    primary, backup = make_site("a"), make_site("b")
    primary.config = replace(
        primary.config,
        max_slot_wal_keep_size="16MB",
        settings={"min_wal_size": "32MB", "max_wal_size": "64MB"},
    )
    await primary.restart_agent()
    identifier = await primary.start_as_primary(template)
    await primary.engine.ensure_slot("saling_b")
    upstream = primary.upstream("b", identifier)
    await backup.engine.seed(upstream, ignore)
    await backup.engine.start_standby(upstream)
    await backup.observed(streaming=True)
    return Pair(primary, backup, identifier)


async def write_alone(pair: Pair, rows: int) -> None:
    """The backup reigns; the old primary commits so many rows and loses its log at the fork."""
    await pair.primary.sql("CREATE TABLE alone (i int)")
    await pair.caught_up()
    await pair.backup.lease()
    await pair.backup.engine.promote(30_000)
    await pair.backup.engine.ensure_slot("saling_a")
    fork = await pair.backup.engine.observe()
    left = rows

    async def is_gone() -> bool:
        nonlocal left
        left -= 1
        await pair.primary.sql(f"INSERT INTO alone VALUES ({left})")
        await pair.primary.sql("SELECT pg_switch_wal()")
        await pair.primary.sql("CHECKPOINT")
        return oldest(pair.primary) > fork.position_bytes

    await until(is_gone, "the log at the fork is gone")
    for number in range(left):
        await pair.primary.sql(f"INSERT INTO alone VALUES ({number})")
    await pair.primary.engine.kill()


def oldest(site: Site) -> int:
    return segments(site.config.data, SEGMENT_BYTES)[0].begin_bytes


def check_that_all_is_kept_and_told(pair: Pair, came: Rejoined) -> None:
    assert came.how is Return.RESEEDED
    assert came.quarantine is not None
    report = read_report(came.quarantine.path)
    assert report is not None
    assert f"log from {report.fork} to " in report.not_counted
    assert "is gone" in report.not_counted
    assert not report.whole_log
    assert f"at least {report.transactions} transactions (log from" in came.quarantine.text
    assert came.quarantine.transactions
    assert came.old_copy == pair.primary.config.data.with_name("data.kept-1")
    assert (came.old_copy / "PG_VERSION").exists()


async def stream_and_forget(pair: Pair, kept: Path | None) -> None:
    """As its agent would do after a minute."""
    await pair.primary.engine.start_standby(pair.backup.upstream("a"))
    await pair.primary.observed(role=Role.STANDBY, streaming=True, timeline=2)
    await pair.primary.engine.forget_old_copy()
    assert kept is not None
    assert kept.exists()


@pytest.mark.parametrize("moved_on", [False, True], ids=["still has its log", "moved on"])
async def test_what_it_committed_is_kept_for_a_human_though_its_log_at_the_fork_is_gone(
    make_site: MakeSite, template: Path, moved_on: bool
) -> None:
    pair = await with_little_log(make_site, template)
    await write_alone(pair, rows=30)
    if moved_on:
        for _ in range(3):
            await pair.backup.sql("CREATE TABLE IF NOT EXISTS t (i int)")
            await pair.backup.sql("INSERT INTO t VALUES (1)")
            await pair.backup.sql("SELECT pg_switch_wal()")
    came = await pair.primary.engine.rejoin(pair.backup.upstream("a", pair.identifier), ignore)
    check_that_all_is_kept_and_told(pair, came)
    await stream_and_forget(pair, came.old_copy)
    assert await pair.primary.sql("SELECT count(*) FROM alone") == 0


async def test_one_that_ended_in_order_past_a_lost_fork_is_kept_as_well(
    make_site: MakeSite, template: Path
) -> None:
    pair = await with_little_log(make_site, template)
    await pair.primary.sql("CREATE TABLE alone (i int)")
    await pair.caught_up()
    await pair.backup.lease()
    await pair.backup.engine.promote(30_000)
    await pair.backup.engine.ensure_slot("saling_a")
    for number in range(5):
        await pair.primary.sql(f"INSERT INTO alone VALUES ({number})")
        await pair.primary.sql("SELECT pg_switch_wal()")
        await pair.primary.sql("CHECKPOINT")
    await pair.primary.engine.drain(30_000)
    last = max(s.begin_bytes for s in segments(pair.primary.config.data, SEGMENT_BYTES))
    for segment in segments(pair.primary.config.data, SEGMENT_BYTES):
        if segment.begin_bytes < last:
            segment.path.unlink()
    came = await pair.primary.engine.rejoin(pair.backup.upstream("a", pair.identifier), ignore)
    assert (came.how, came.quarantine is None) == (Return.RESEEDED, False)
    assert came.old_copy == pair.primary.config.data.with_name("data.kept-1")
