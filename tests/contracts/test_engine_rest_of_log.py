"""The rest of a dead primary's log reaches its standby, on real processes of each version."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from agents.engines.base import EngineBusy, EngineError, LogPoint, LogSource
from protocol.messages import Role
from tests.contracts.conftest import Pair, Site

pytestmark = pytest.mark.postgres


def log_of(site: Site, at_most_bytes: int | None = None) -> LogSource:
    """What this site's log holds; broken off after some bytes, as by a cut link."""

    @asynccontextmanager
    async def opened(point: LogPoint) -> AsyncIterator[AsyncIterator[bytes]]:
        _, chunks = await site.engine.rest_of_log(point)
        yield chunks if at_most_bytes is None else broken_off(chunks, at_most_bytes)

    return opened


async def broken_off(chunks: AsyncIterator[bytes], at_most_bytes: int) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield chunk[:at_most_bytes]
        raise EngineBusy("the link was cut")


async def left_behind(pair: Pair, rows: int) -> None:
    """The primary commits what its standby never receives, and dies."""
    await pair.primary.sql("CREATE TABLE t (i int, filler text)")
    await pair.caught_up()
    await pair.backup.engine.follow(None)
    await pair.backup.observed(streaming=False)
    await pair.primary.sql(
        f"INSERT INTO t SELECT i, repeat('x', 900) FROM generate_series(1, {rows}) AS i"
    )
    await pair.primary.engine.kill()


async def promoted_rows(pair: Pair) -> object:
    await pair.backup.lease()
    await pair.backup.engine.promote(30_000)
    return await pair.backup.sql("SELECT count(*) FROM t")


@pytest.mark.parametrize("rows", [1, 40_000], ids=["within a page", "over several segments"])
async def test_a_standby_takes_all_that_its_dead_primary_had_committed(
    pair: Pair, rows: int
) -> None:
    await left_behind(pair, rows)
    await pair.backup.engine.take_log(log_of(pair.primary))
    assert await promoted_rows(pair) == rows


async def test_nothing_is_given_that_is_not_on_the_old_primary_s_disk(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    await left_behind(pair, 40_000)
    log = pair.primary.config.data / "pg_wal"
    done: list[Path] = []
    fsync, pread = os.fsync, os.pread

    def flushed(descriptor: int) -> None:
        assert threading.current_thread() is not threading.main_thread()
        fsync(descriptor)
        done.append(Path(f"/proc/self/fd/{descriptor}").readlink())

    def given(descriptor: int, size: int, offset: int) -> bytes:
        assert done[0] == log
        assert Path(f"/proc/self/fd/{descriptor}").readlink() == done[-1]
        return pread(descriptor, size, offset)

    seen = await pair.backup.engine.observe()
    begin = seen.position_bytes // 8192 * 8192
    point = LogPoint(seen.system_identifier, 1, begin, seen.position_bytes)
    size, chunks = await pair.primary.engine.rest_of_log(point)
    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "pread", given)
    sent = [len(chunk) async for chunk in chunks]
    assert sum(sent) == size
    assert len(done) > 2, "several segments, and their directory"


async def test_the_rest_is_the_same_from_an_old_primary_that_replays_it_as_a_standby(
    pair: Pair,
) -> None:
    await left_behind(pair, 10_000)
    await pair.primary.engine.start_standby(None)
    await pair.primary.observed(role=Role.STANDBY)
    await pair.backup.engine.take_log(log_of(pair.primary))
    assert await promoted_rows(pair) == 10_000


async def test_taking_it_twice_or_after_a_break_changes_nothing(pair: Pair) -> None:
    await left_behind(pair, 5000)
    with pytest.raises(EngineBusy, match="cut"):
        await pair.backup.engine.take_log(log_of(pair.primary, 100_000))
    await pair.backup.engine.take_log(log_of(pair.primary))
    await pair.backup.engine.take_log(log_of(pair.primary))
    assert await promoted_rows(pair) == 5000


async def test_the_old_primary_has_nothing_that_the_new_one_lacks(pair: Pair) -> None:
    await left_behind(pair, 100)
    await pair.backup.engine.take_log(log_of(pair.primary))
    assert await promoted_rows(pair) == 100
    await pair.backup.engine.ensure_slot(f"saling_{pair.primary.name}")
    upstream = pair.backup.upstream(pair.primary.name, pair.identifier)
    rejoined = await pair.primary.engine.rejoin(upstream, lambda _progress: None)
    assert rejoined.old_copy is None
    await pair.stream_back()
    assert await pair.primary.sql("SELECT count(*) FROM t") == 100


async def test_a_log_of_another_history_is_refused_and_nothing_is_written(pair: Pair) -> None:
    await left_behind(pair, 10)
    before = {p.name: p.read_bytes() for p in (pair.backup.config.data / "pg_wal").glob("0*")}

    @asynccontextmanager
    async def altered(point: LogPoint) -> AsyncIterator[AsyncIterator[bytes]]:
        _, chunks = await pair.primary.engine.rest_of_log(point)

        async def other() -> AsyncIterator[bytes]:
            async for chunk in chunks:
                yield bytes([chunk[0] ^ 1]) + chunk[1:]

        yield other()

    with pytest.raises(EngineError, match="differs from the upstream's"):
        await pair.backup.engine.take_log(altered)
    after = {p.name: p.read_bytes() for p in (pair.backup.config.data / "pg_wal").glob("0*")}
    assert after == before

    seen = await pair.primary.engine.observe()
    point = LogPoint(seen.system_identifier, 1, 0, 1)
    with pytest.raises(EngineError, match="is of system"):
        await pair.primary.engine.rest_of_log(replace(point, system_identifier="77"))
    end = (await pair.backup.engine.observe()).position_bytes
    with pytest.raises(EngineError, match="on timeline 1, the standby's on 2"):
        await pair.primary.engine.rest_of_log(
            replace(point, timeline=2, begin_bytes=end // 8192 * 8192, received_bytes=end)
        )
