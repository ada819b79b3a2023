"""An engine whose processes hang in the kernel: no kill ends it, and it commits nothing more."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from agents.guard.client import GuardStatus, now_ms
from agents.metrics import Metrics
from agents.replica.jobs import Fresh
from agents.replica.keeper import Keeper
from lab.faults.stuck import StuckEngine, why_not
from tests.agents.guard.bench import unfenced
from tests.contracts.conftest import MakeSite, until

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(why_not()), reason=why_not())]

LEASE_MS = 1500


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_a_fence_waits_for_an_engine_that_no_kill_ends_and_says_so_and_it_commits_nothing(
    make_site: MakeSite, template: Path
) -> None:
    site, told = make_site("a"), list[Any]()
    await site.start_as_primary(template)
    await site.script("CREATE TABLE t (n int)")
    engine, metrics = site.engine, Metrics("batam-1", "batam")
    keeper = Keeper("orders", engine.guard, engine, told.append, Fresh(), metrics, unfenced())
    writer = await asyncpg.connect(
        host=str(site.config.sockets), port=site.config.port, user="saling", database="postgres"
    )
    with StuckEngine(site.config.data) as stuck:
        assert stuck.stick() >= 2
        begun = asyncio.create_task(writer.execute("INSERT INTO t VALUES (1)"))
        closing = asyncio.create_task(keeper.close())
        await until(lambda: told_stuck(keeper), "it is told")
        status = await engine.guard.status()
        assert (status.permission, dying(status)) == ("closed", "closed")
        await until(lambda: slow_enough(status.pid), "the guard does not burn the processor")
        assert not closing.done()
        assert not begun.done()
        assert site.processes()
        stuck.release()
        await asyncio.wait_for(closing, 10)
    assert site.processes() == []
    assert keeper.ending.stuck == ""
    with pytest.raises((asyncpg.PostgresError, OSError)):
        await begun
    await site.lease()
    await engine.start_primary(30_000)
    assert await site.sql("SELECT count(*) FROM t") == 0


async def test_the_deadline_strikes_an_engine_that_hangs_and_it_dies_at_the_thaw(
    make_site: MakeSite, template: Path
) -> None:
    site = make_site("a")
    shutil.copytree(template, site.config.data)
    guard = site.engine.guard
    await guard.ensure_running()
    await guard.alone()
    await site.engine.start_primary(30_000)
    with StuckEngine(site.config.data) as stuck:
        stuck.stick()
        await guard.lease(now_ms() + LEASE_MS)

        async def struck() -> bool:
            return dying(await guard.status()) == "deadline"

        await until(struck, "the deadline strikes")
        assert site.processes()
        stuck.release()
        exit_ = await guard.wait_engine_gone(5_000)
    assert exit_ is not None and exit_.reason == "deadline"
    assert site.processes() == []


async def test_while_process_1_hangs_alone_the_others_are_ended_at_the_deadline_all_the_same(
    make_site: MakeSite, template: Path
) -> None:
    """The kill of process 1 would end them only with its own end."""
    site = make_site("a")
    shutil.copytree(template, site.config.data)
    guard = site.engine.guard
    await guard.ensure_running()
    await guard.alone()
    await site.engine.start_primary(30_000)
    writer = await asyncpg.connect(
        host=str(site.config.sockets), port=site.config.port, user="saling", database="postgres"
    )
    await writer.execute("CREATE TABLE t (n int)")
    status = await guard.status()
    assert status.engine is not None
    with StuckEngine(site.config.data) as stuck:
        first = status.engine.pid
        stuck.stick_one(first)
        deadline_ms = await guard.lease(now_ms() + LEASE_MS)
        assert await breaks(writer, deadline_ms + 10_000), "it wrote on for ten seconds"

        async def alone() -> bool:
            return site.processes() == [first]

        await until(alone, "process 1 alone is left")
        stuck.release()
        await guard.wait_engine_gone(5_000)
    assert site.processes() == []


async def breaks(writer: asyncpg.Connection, until_ms: int) -> bool:
    """Whether its connection breaks before then; it writes for as long as it may."""
    try:
        while now_ms() < until_ms:
            await writer.execute("INSERT INTO t VALUES (1)")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return True
    return False


async def told_stuck(keeper: Keeper) -> bool:
    return "hang in the kernel" in keeper.ending.stuck


async def slow_enough(pid: int) -> bool:
    """After a moment of haste it looks some twenty times a second."""
    before_s, begun_s = cpu_s(pid), time.monotonic()
    await asyncio.sleep(0.5)
    return cpu_s(pid) - before_s < 0.2 * (time.monotonic() - begun_s)


def dying(status: GuardStatus) -> str:
    return status.engine.dying if status.engine else ""
