"""A sync service loses no acknowledged write, and does not block for a backup that is gone."""

from __future__ import annotations

import pytest

from lab.four_sites import Lab
from lab.incident import Watch, act
from lab.plan import Service

pytestmark = [pytest.mark.lab, pytest.mark.postgres, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def services() -> tuple[Service, ...]:
    return (Service("paspor", ("jabodetabek", "batam"), protection="sync"),)


async def test_a_dead_site_costs_a_sync_service_no_acknowledged_write(whole: Lab) -> None:
    before = await whole.api.explain("paspor")
    dead = await whole.primary_site("paspor")

    async def fault() -> None:
        whole.kill_site(dead)

    async def end() -> None:
        await whole.wait_for("the takeover", lambda s: s["epoch"] > before["epoch"], "paspor")

    async with Watch(whole, "paspor") as watch:
        done = await act(watch, f"kill site {dead}", fault, end)
    assert (done.acked_lost, done.two_writers_s) == (0, 0)


async def test_a_backup_that_is_gone_blocks_nobody_and_is_waited_for_again(whole: Lab) -> None:
    before = await whole.api.explain("paspor")
    backup = before["backup"].removesuffix("-1")
    async with Watch(whole, "paspor") as watch:
        whole.kill_site(backup)
        await whole.wait_for_phase("paspor", "ALONE")
        await watch.wait_for_writes()
        whole.start_site(backup)
        after = await whole.wait_until_whole("paspor")
        await watch.wait_for_writes()
    assert (after["epoch"], after["primary"]) == (before["epoch"], before["primary"])
    connection = await whole.as_superuser("paspor", await whole.primary_site("paspor"))
    try:
        state = await connection.fetchval("SELECT sync_state FROM pg_stat_replication")
    finally:
        await connection.close(timeout=2)
    assert state == "sync"
