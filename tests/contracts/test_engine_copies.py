"""How copies come to be and come back, on real processes: one run for each version found."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import msgspec
import pytest

from agents.core.observation import Disk, ProbeKind
from agents.engines.base import EngineBusy, EngineError, Progress, Return
from agents.engines.postgresql import PostgreSQL
from protocol.messages import Role
from tests.contracts.conftest import MakeSite, Pair, ignore, until

pytestmark = pytest.mark.postgres


async def test_a_seeded_copy_streams_and_says_whom_it_follows(pair: Pair) -> None:
    await pair.primary.sql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS i")
    await pair.caught_up()
    seen = await pair.backup.observed(streaming=True, lag_ms=0)
    assert seen.upstream == pair.primary.address
    assert seen.system_identifier == pair.identifier
    assert (seen.role, seen.timeline, seen.disk) == (Role.STANDBY, 1, Disk.DATA)
    assert await pair.backup.sql("SELECT count(*) FROM t") == 1000
    with pytest.raises(EngineError, match="an engine runs"):
        await pair.backup.engine.seed(pair.primary.upstream("b"), ignore)
    await pair.backup.engine.stop(30_000)
    with pytest.raises(EngineError, match="not empty"):
        await pair.backup.engine.seed(pair.primary.upstream("b"), ignore)


async def test_seeding_waits_for_its_slot_and_refuses_another_system(
    make_site: MakeSite, template: Path
) -> None:
    primary, backup = make_site("a"), make_site("b")
    identifier = await primary.start_as_primary(template)
    with pytest.raises(EngineError, match=f"is system {identifier}, not 77"):
        await backup.engine.seed(primary.upstream("b", "77"), ignore)
    with pytest.raises(EngineBusy, match="does not exist"):
        await backup.engine.seed(primary.upstream("b", identifier), ignore)
    assert not backup.config.data.exists()
    await primary.engine.ensure_slot("saling_b")
    await primary.engine.ensure_slot("saling_b")
    told: list[Progress] = []
    await backup.engine.seed(primary.upstream("b", identifier), told.append)
    assert told
    assert told[-1].done_bytes > 1_000_000
    nobody, other = make_site("c"), make_site("d")
    with pytest.raises(EngineBusy, match="cannot be reached"):
        await other.engine.seed(nobody.upstream("d"), ignore)


async def test_an_interrupted_seed_is_partial_and_made_anew(
    make_site: MakeSite, template: Path
) -> None:
    primary, backup = make_site("a"), make_site("b")
    await primary.start_as_primary(template)
    await primary.engine.ensure_slot("saling_b")
    slow = PostgreSQL(msgspec.structs.replace(backup.config, seed_rate_kib_s=1024))
    begun = asyncio.Event()
    seeding = asyncio.create_task(
        slow.seed(primary.upstream("b"), lambda p: begun.set() if p.done_bytes else None)
    )
    await asyncio.wait_for(begun.wait(), 30)
    seeding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await seeding
    assert (await backup.engine.observe()).disk is Disk.PARTIAL
    with pytest.raises(EngineError, match="partial"):
        await backup.engine.start_standby(None)
    await backup.engine.seed(primary.upstream("b"), ignore)
    await backup.engine.start_standby(primary.upstream("b"))
    await backup.observed(streaming=True)
    await slow.close()


async def test_a_promoted_backup_is_writable_on_a_new_timeline(pair: Pair) -> None:
    await pair.primary.sql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS i")
    await pair.fail_over()
    seen = await pair.backup.engine.observe()
    assert (seen.role, seen.timeline) == (Role.PRIMARY, 2)
    assert (await pair.backup.engine.probe(10_000)).kind is ProbeKind.COMMITTED
    assert await pair.backup.sql("SELECT count(*) FROM t") == 1000
    assert (pair.backup.config.data / "standby.signal").exists()
    await pair.backup.engine.promote(30_000)
    assert (await pair.backup.engine.observe()).timeline == 2


async def test_a_drain_gives_the_position_that_a_complete_backup_has(pair: Pair) -> None:
    await pair.primary.sql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS i")
    end = await pair.primary.engine.drain(30_000)
    assert (await pair.primary.engine.observe()).clean

    async def confirmed() -> bool:
        return (await pair.backup.engine.observe()).position_bytes >= end

    await until(confirmed, "the backup has the last position")
    assert (await pair.backup.engine.observe()).position_bytes == end
    await pair.backup.lease()
    await pair.backup.engine.promote(30_000)
    assert await pair.backup.sql("SELECT count(*) FROM t") == 1000
    await pair.backup.engine.ensure_slot("saling_a")
    came = await pair.primary.engine.rejoin(pair.backup.upstream("a"), ignore)
    assert (came.how, came.diverged_bytes) == (Return.FOLLOWS, 0)
    await pair.stream_back()


async def test_a_diverged_primary_is_rewound_and_loses_what_nobody_else_had(pair: Pair) -> None:
    await pair.primary.sql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS i")
    await pair.caught_up()
    await pair.backup.lease()
    await pair.backup.engine.promote(30_000)
    await pair.primary.sql("INSERT INTO t SELECT 77777 FROM generate_series(1, 500)")
    await pair.primary.engine.kill()
    await pair.backup.sql("INSERT INTO t VALUES (2000)")
    await pair.backup.engine.ensure_slot("saling_a")
    came = await pair.primary.engine.rejoin(pair.backup.upstream("a", pair.identifier), ignore)
    assert came.how is Return.REWOUND
    assert came.diverged_bytes > 10_000
    await pair.stream_back()
    await Pair(pair.backup, pair.primary, pair.identifier).caught_up()
    assert await pair.primary.sql("SELECT count(*) FROM t WHERE i = 77777") == 0
    assert await pair.primary.sql("SELECT count(*) FROM t") == 1001


async def test_where_rewinding_is_impossible_the_old_copy_is_kept_until_the_new_one_streams(
    pair: Pair,
) -> None:
    await pair.primary.sql("CREATE TABLE t AS SELECT 77777 AS i")
    await pair.fail_over()
    await pair.primary.engine.start_primary(30_000)
    await pair.primary.engine.kill()
    # So looks a copy that was made and never caught up: rewinding it would not be sound.
    (pair.primary.config.data / "backup_label").touch()
    upstream = pair.backup.upstream("a", pair.identifier)
    came = await pair.primary.engine.rejoin(upstream, ignore)
    assert came.how is Return.RESEEDED
    assert came.old_copy
    assert (came.old_copy / "PG_VERSION").exists()
    with pytest.raises(EngineBusy):
        await pair.primary.engine.forget_old_copy()
    assert came.old_copy.exists()
    await pair.stream_back()
    await pair.primary.engine.forget_old_copy()
    assert not came.old_copy.exists()


async def test_a_copy_whose_log_is_lost_is_replaced_and_left_to_a_human(pair: Pair) -> None:
    await pair.fail_over()
    shutil.rmtree(pair.primary.config.data / "pg_wal")
    (pair.primary.config.data / "pg_wal").mkdir()
    came = await pair.primary.engine.rejoin(pair.backup.upstream("a", pair.identifier), ignore)
    assert came.how is Return.RESEEDED
    assert came.old_copy == pair.primary.config.data.with_name("data.kept-1")
    await pair.stream_back()
    await pair.primary.engine.forget_old_copy()
    assert (came.old_copy / "PG_VERSION").exists()
    assert (await pair.primary.engine.aside()).kept_copies == (came.old_copy,)


async def test_a_half_rewound_copy_is_never_started_and_never_removed(pair: Pair) -> None:
    await pair.fail_over()
    mark = pair.primary.config.data.with_name("data.rewinding")
    mark.touch()
    assert (await pair.primary.engine.observe()).disk is Disk.PARTIAL
    with pytest.raises(EngineError, match="partial"):
        await pair.primary.engine.start_standby(None)
    with pytest.raises(EngineError, match="partial"):
        await pair.primary.engine.rejoin(pair.backup.upstream("a"), ignore)
    await pair.primary.engine.seed(pair.backup.upstream("a"), ignore)
    assert pair.primary.config.data.with_name("data.old-1").exists()
    assert not mark.exists()
    await pair.stream_back()


async def test_a_tablespace_elsewhere_is_refused_by_name_before_anything_is_copied(
    pair: Pair, make_site: MakeSite, directory: Path
) -> None:
    place = directory / "fast"
    place.mkdir(mode=0o700)
    await pair.primary.sql(f"CREATE TABLESPACE fast LOCATION '{place}'")
    await pair.primary.engine.ensure_slot("saling_c")
    third = make_site("c")
    with pytest.raises(EngineError, match=r"tablespace fast \(/.*/fast\): stands outside") as said:
        await third.engine.seed(pair.primary.upstream("c"), ignore)
    assert not isinstance(said.value, EngineBusy)
    assert not third.config.data.with_name("data.seeding").exists()
    await pair.fail_over()
    shutil.rmtree(pair.primary.config.data / "pg_wal")
    (pair.primary.config.data / "pg_wal").mkdir()
    with pytest.raises(EngineError, match="tablespace fast") as said:
        await pair.primary.engine.rejoin(pair.backup.upstream("a"), ignore)
    assert not isinstance(said.value, EngineBusy)
    assert (await pair.primary.engine.observe()).disk is Disk.DATA


async def test_a_copy_of_another_system_never_rejoins(
    pair: Pair, make_site: MakeSite, template: Path
) -> None:
    other = make_site("c")
    await other.engine.create()
    with pytest.raises(EngineError, match="a copy of system"):
        await other.engine.rejoin(pair.primary.upstream("c"), ignore)
    assert (await other.engine.observe()).disk is Disk.DATA


async def test_following_another_needs_no_restart(pair: Pair) -> None:
    before = (await pair.backup.engine.guard.status()).engine
    await pair.backup.engine.follow(None)
    await pair.backup.observed(streaming=False, upstream="")
    await pair.backup.engine.follow(pair.primary.upstream("b"))
    await pair.backup.observed(streaming=True, upstream=pair.primary.address)
    assert (await pair.backup.engine.guard.status()).engine == before


async def test_waiting_for_the_backup_survives_agent_and_engine(pair: Pair) -> None:
    assert not (await pair.primary.engine.observe()).sync_active
    await pair.primary.engine.set_sync("b")
    await pair.primary.observed(sync_active=True)
    await pair.primary.restart_agent()
    await pair.primary.engine.kill()
    await pair.primary.engine.start_primary(30_000)
    await pair.primary.observed(sync_active=True)
    await pair.backup.engine.kill()
    await pair.primary.observed(sync_active=False)
    assert (await pair.primary.engine.probe(10_000)).kind is ProbeKind.COMMITTED
    await pair.primary.engine.set_sync(None)
    await pair.primary.sql("CREATE TABLE t ()")


async def test_what_alter_system_says_against_us_is_named_and_undone_at_the_next_start(
    pair: Pair,
) -> None:
    await pair.primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    with pytest.raises(EngineError, match="ALTER SYSTEM RESET"):
        await pair.primary.engine.set_sync("b")
    await pair.primary.engine.kill()
    await pair.primary.engine.start_primary(30_000)
    await pair.primary.observed(sync_active=True)
