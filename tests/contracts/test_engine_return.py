"""How an old primary comes home with nothing thrown away, on real processes."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from agents.core.observation import Disk
from agents.engines import pg_past, pg_quarantine, pg_wal
from agents.engines.base import EngineBusy, EngineError, Progress, Quarantined, Rejoined, Return
from agents.engines.pg_report import Report, read_report
from agents.engines.pg_tools import ENVIRONMENT
from agents.engines.pg_waldump import find_waldump
from protocol.messages import Role
from tests.contracts.conftest import MakeSite, Pair, Site, ignore, pair_of, until

pytestmark = pytest.mark.postgres


async def diverge(pair: Pair, commits: int = 7) -> None:
    """The backup takes over while the primary writes on, then dies; each has rows of its own."""
    await pair.primary.sql("CREATE TABLE orders (i int PRIMARY KEY, note text)")
    await pair.primary.sql("CREATE TABLE lines (i int)")
    await pair.caught_up()
    await pair.backup.lease()
    await pair.backup.engine.promote(30_000)
    for number in range(commits):
        await pair.primary.sql(f"INSERT INTO orders VALUES ({number}, 'lost')")
    await pair.primary.engine.kill()
    await pair.backup.engine.ensure_slot("saling_a")
    await pair.backup.sql("INSERT INTO orders VALUES (100, 'kept')")


async def rejoined(pair: Pair) -> Quarantined:
    came = await pair.primary.engine.rejoin(pair.backup.upstream("a", pair.identifier), ignore)
    assert came.how is Return.REWOUND
    assert came.quarantine is not None
    await pair.stream_back()
    await Pair(pair.backup, pair.primary, pair.identifier).caught_up()
    return came.quarantine


def report_in(kept: Quarantined) -> Report:
    report = read_report(kept.path)
    assert report is not None
    return report


async def test_what_an_old_primary_committed_alone_is_kept_and_counted_to_the_transaction(
    pair: Pair,
) -> None:
    await pair.primary.sql("CREATE TABLE orders (i int PRIMARY KEY, note text)")
    await pair.primary.sql("CREATE TABLE lines (i int)")
    await pair.primary.engine.probe(10_000)
    await pair.caught_up()
    await pair.backup.lease()
    await pair.backup.engine.promote(30_000)
    sql, committed = pair.primary.sql, 0
    for number in range(20):
        both = f"INSERT INTO orders VALUES ({number}, 'x'); INSERT INTO lines VALUES ({number})"
        await pair.primary.script(f"BEGIN; {both}; COMMIT")
        await pair.primary.engine.probe(10_000)
        committed += 1
    nested = "BEGIN; INSERT INTO lines VALUES (77); SAVEPOINT s; INSERT INTO lines VALUES (78)"
    await pair.primary.script(f"{nested}; RELEASE s; COMMIT")
    await pair.primary.script("BEGIN; INSERT INTO orders VALUES (99, 'undone'); ROLLBACK")
    await sql("SELECT count(*) FROM orders")
    await sql("CREATE TABLE made_alone AS SELECT generate_series(1, 3000) AS i")
    committed += 2
    await pair.primary.engine.kill()
    await pair.backup.engine.ensure_slot("saling_a")
    kept = await rejoined(pair)
    report = report_in(kept)
    assert (kept.transactions, report.own_probes) == (committed, 20)
    assert (report.old_timeline, report.new_timeline) == (1, 2)
    assert report.system_identifier == pair.identifier
    assert report.bytes == kept.bytes > 1000
    assert {"postgres: saling.orders", "postgres: saling.lines"} <= {
        relation.name for relation in report.relations
    }
    assert any("after the fork" in reason for reason in report.names_missing)
    assert report.first_commit < report.last_commit
    assert report.last_commit.endswith("UTC")
    assert f"{committed} transactions" in kept.text
    assert oct(kept.path.parent.stat().st_mode)[-3:] == "700"
    assert await pair.primary.sql("SELECT count(*) FROM orders") == 0
    assert (await pair.primary.engine.aside()).quarantines == (kept,)
    check_that_its_report_says_how_to_read_it(kept)


def check_that_its_report_says_how_to_read_it(kept: Quarantined) -> None:
    text = (kept.path / "report.txt").read_text()
    line = next(line for line in text.splitlines() if "pg_waldump -p" in line)
    said = subprocess.run(line.split(), capture_output=True, env=ENVIRONMENT, check=False)
    assert b"COMMIT" in said.stdout
    assert (kept.path / "global" / "pg_control").exists()


async def test_a_killed_primary_that_wrote_nothing_alone_follows_and_nothing_is_kept(
    pair: Pair,
) -> None:
    await pair.primary.sql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS i")
    await pair.fail_over()
    await pair.backup.sql("CHECKPOINT")
    await pair.backup.sql("CREATE TABLE later ()")
    checkpoint = "SELECT checkpoint_lsn::text FROM pg_control_checkpoint()"
    before = await pair.backup.sql(checkpoint)
    came = await pair.primary.engine.rejoin(pair.backup.upstream("a", pair.identifier), ignore)
    assert (came.how, came.quarantine) == (Return.FOLLOWS, None)
    assert await pair.backup.sql(checkpoint) == before, "the upstream was burdened for nothing"
    assert not pair.primary.config.quarantine_root.exists()
    await pair.stream_back()
    assert await pair.primary.sql("SELECT count(*) FROM t") == 1000


async def test_a_long_record_at_the_fork_never_holds_up_the_agent(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[int] = []
    threads: list[threading.Thread] = []
    checksum, stands = pg_wal._crc32c, pg_wal.record_stands

    def watched_checksum(content: bytes) -> int:
        checked.append(len(content))
        return checksum(content)

    def watched(*given: Any) -> bool:
        threads.append(threading.current_thread())
        return stands(*given)

    monkeypatch.setattr(pg_wal, "_crc32c", watched_checksum)
    monkeypatch.setattr(pg_past, "record_stands", watched)
    await pair.caught_up()
    await pair.backup.lease()
    await pair.backup.engine.promote(30_000)
    long = "SELECT pg_logical_emit_message(false, 'saling', repeat('x', 10000000))"
    await pair.primary.sql(long)
    await pair.primary.sql("CREATE TABLE alone ()")
    await pair.primary.engine.kill()
    await pair.backup.engine.ensure_slot("saling_a")
    kept = await rejoined(pair)
    assert kept.transactions == 1
    assert kept.bytes > 10_000_000
    assert all(size <= 2**18 for size in checked)
    assert threads
    assert threading.main_thread() not in threads


async def test_without_room_for_the_quarantine_nothing_is_rewound(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    await diverge(pair)
    upstream = pair.backup.upstream("a", pair.identifier)
    before = (pair.primary.config.data / "global" / "pg_control").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(pg_quarantine, "SPARE_BYTES", 2**60)
        with pytest.raises(EngineError, match=r"MiB are free.*nothing was rewound.*free space"):
            await pair.primary.engine.rejoin(upstream, ignore)
    assert (pair.primary.config.data / "global" / "pg_control").read_bytes() == before
    assert (await pair.primary.engine.observe()).disk is Disk.DATA
    assert (await rejoined(pair)).transactions == 7


async def test_a_quarantine_that_died_half_made_is_made_anew_and_a_whole_one_is_not_doubled(
    pair: Pair,
) -> None:
    await diverge(pair)
    upstream = pair.backup.upstream("a", pair.identifier)
    reached = asyncio.Event()

    def stop_at(progress: Progress) -> None:
        if "quarantine" in progress.doing:
            reached.set()

    rejoining = asyncio.create_task(pair.primary.engine.rejoin(upstream, stop_at))
    await asyncio.wait_for(reached.wait(), 60)
    rejoining.cancel()
    await asyncio.wait({rejoining})
    root = pair.primary.config.quarantine_root
    half = next(root.iterdir())
    assert half.suffix == ".part"
    assert (await pair.primary.engine.aside()).quarantines == ()
    (half / "pg_wal" / "rubbish").touch()

    # Whole now, but the rewinding never begins, for the upstream is gone.
    begun = asyncio.Event()
    rejoining = asyncio.create_task(
        pair.primary.engine.rejoin(
            upstream, lambda p: begun.set() if p.doing.startswith("rewinding") else None
        )
    )
    await asyncio.wait_for(begun.wait(), 60)
    rejoining.cancel()
    await asyncio.wait({rejoining})
    (pair.primary.config.data.with_name("data.rewinding")).unlink(missing_ok=True)
    whole = [path.name for path in root.iterdir()]
    assert len(whole) == 1
    kept = await rejoined(pair)
    assert [path.name for path in root.iterdir()] == whole
    assert kept.transactions == 7
    assert not (kept.path / "pg_wal" / "rubbish").exists()


async def test_all_of_the_data_directory_is_kept_where_the_configuration_wants_it(
    pair: Pair, directory: Path
) -> None:
    elsewhere = directory / "elsewhere"
    pair.primary.config = replace(
        pair.primary.config, quarantine="data_directory", quarantine_directory=elsewhere
    )
    await pair.primary.restart_agent()
    await diverge(pair)
    kept = await rejoined(pair)
    assert kept.path.parent == elsewhere
    assert (kept.path / "data" / "PG_VERSION").exists()
    assert report_in(kept).whole_data_directory


async def test_a_standby_that_replayed_past_the_fork_is_stranded_and_mended(
    make_site: MakeSite, template: Path
) -> None:
    pair = await pair_of(make_site, template)
    third = make_site("c")
    await pair.primary.engine.ensure_slot("saling_c")
    await third.engine.seed(pair.primary.upstream("c"), ignore)
    await third.engine.start_standby(pair.primary.upstream("c"))
    await third.observed(streaming=True)
    await pair.caught_up()
    await pair.backup.engine.follow(None)
    await pair.backup.observed(streaming=False)
    await pair.primary.sql("CREATE TABLE late ()")
    await Pair(pair.primary, third, pair.identifier).caught_up()
    await pair.primary.engine.kill()
    await pair.backup.lease()
    await pair.backup.engine.promote(30_000)
    await pair.backup.engine.ensure_slot("saling_c")
    upstream = pair.backup.upstream("c", pair.identifier)
    await third.engine.follow(upstream)
    assert "past" in await third.engine.stranded(upstream)
    await third.engine.stop(30_000)
    came = await third.engine.rejoin(upstream, ignore)
    assert came.how in (Return.REWOUND, Return.RESEEDED)
    assert came.quarantine is not None
    assert came.quarantine.transactions == 1
    await third.engine.start_standby(upstream)
    await third.observed(role=Role.STANDBY, streaming=True, timeline=2)


async def test_a_backup_that_was_away_until_its_log_was_gone_is_copied_anew(
    make_site: MakeSite, template: Path
) -> None:
    primary, backup = make_site("a"), make_site("b")
    primary.config = replace(
        primary.config,
        max_slot_wal_keep_size="32MB",
        settings={"min_wal_size": "32MB", "max_wal_size": "64MB"},
    )
    await primary.restart_agent()
    identifier = await primary.start_as_primary(template)
    await primary.engine.ensure_slot("saling_b")
    upstream = primary.upstream("b", identifier)
    await backup.engine.seed(upstream, ignore)
    await backup.engine.start_standby(upstream)
    await backup.observed(streaming=True)
    await backup.engine.stop(30_000)
    most = await fill_log(primary, segments=12)
    assert most <= (64 + 32 + 2 * 16) * 2**20
    await primary.engine.ensure_slot("saling_b")
    await primary.engine.ensure_slot("saling_other")
    [other] = await primary.engine.other_slots("saling_b")
    assert other.startswith("saling_other (")

    await backup.engine.start_standby(upstream)

    async def told() -> str:
        return await backup.engine.stranded(upstream)

    await until(told, "the backup knows that it can never follow")
    assert "has removed the log after" in await told()
    looks = [(await backup.engine.observe()).streaming for _ in range(300)]
    assert not any(looks), "a receiver that tries in vain is no stream"
    await backup.engine.stop(30_000)
    returns: list[Rejoined] = []

    async def comes_back() -> bool:
        # The primary's next checkpoint may take a slot that was only about to be lost: its agent
        # makes it anew, and the job is tried again.
        await primary.engine.ensure_slot("saling_b")
        returns.append(await backup.engine.rejoin(upstream, ignore))
        return True

    await until(comes_back, "it is copied anew")
    [came] = returns
    assert (came.how, came.quarantine) == (Return.RESEEDED, None)
    assert came.old_copy is not None
    await backup.engine.start_standby(upstream)
    await backup.observed(streaming=True)
    await backup.engine.forget_old_copy()
    assert not came.old_copy.exists()
    assert await backup.engine.stranded(upstream) == ""


async def fill_log(site: Site, segments: int) -> int:
    """Returns the most bytes that the log took."""
    most = 0
    await site.sql("CREATE TABLE filler (i int, x text)")
    for _ in range(segments):
        await site.sql(
            "INSERT INTO filler SELECT i, repeat('x', 80) FROM generate_series(1, 2000) i"
        )
        await site.sql("SELECT pg_switch_wal()")
        await site.sql("CHECKPOINT")
        files = (site.config.data / "pg_wal").glob("0*")
        most = max(most, sum(file.stat().st_size for file in files))
    return most


async def test_the_slot_of_the_old_primary_stands_before_the_new_reign(pair: Pair) -> None:
    await pair.backup.engine.ensure_slot("saling_a")
    await pair.backup.lease()
    await pair.backup.engine.promote(30_000)
    assert await pair.backup.sql("SELECT restart_lsn IS NOT NULL FROM pg_replication_slots")
    fork = await pair.backup.sql(
        "SELECT restart_lsn <= pg_control_checkpoint.redo_lsn"
        " FROM pg_replication_slots, pg_control_checkpoint()"
    )
    assert fork


async def test_without_pg_waldump_the_log_is_kept_and_the_report_says_what_is_missing(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    await diverge(pair)
    monkeypatch.setattr("agents.engines.pg_witness.find_waldump", lambda *_: None)
    kept = await rejoined(pair)
    report = report_in(kept)
    assert kept.transactions is None
    assert "pg_waldump of PostgreSQL" in report.not_counted
    assert "is not installed: install its package" in report.not_counted
    assert str(pair.primary.config.binaries) in report.not_counted
    assert report.files
    assert find_waldump(pair.primary.config.binaries, 0) is not None


async def test_a_pg_waldump_that_vanishes_is_an_error_by_its_name_and_all_is_kept(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    await diverge(pair)
    found = iter([Path("/nowhere/pg_waldump"), None])
    monkeypatch.setattr("agents.engines.pg_witness.find_waldump", lambda *_: next(found))
    kept = await rejoined(pair)
    assert kept.transactions is None
    assert "/nowhere/pg_waldump" in report_in(kept).not_counted
    assert report_in(kept).files


async def test_a_count_that_was_cut_short_is_no_count_and_is_made_again(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await diverge(pair)
    dying = tmp_path / "pg_waldump"
    dying.write_text("#!/bin/sh\nkill -9 $$\n")
    dying.chmod(0o755)
    tmp_path.chmod(0o755)
    upstream = pair.backup.upstream("a", pair.identifier)
    with monkeypatch.context() as patched:
        patched.setattr("agents.engines.pg_witness.find_waldump", lambda *_: dying)
        with pytest.raises(EngineBusy, match="not read to its end"):
            await pair.primary.engine.rejoin(upstream, ignore)
    assert (await pair.primary.engine.observe()).disk is Disk.DATA
    assert (await rejoined(pair)).transactions == 7
