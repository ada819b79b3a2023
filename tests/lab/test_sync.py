"""A sync service loses no acknowledged write, and stands alone without its backup, or waits."""

from __future__ import annotations

import pytest

from lab.base.plan import Service
from lab.incidents.backup_lost import backup_lost
from lab.incidents.incident import Watch, act
from lab.running.four_sites import Lab

pytestmark = [pytest.mark.lab, pytest.mark.postgres, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def services() -> tuple[Service, ...]:
    sites = ("jabodetabek", "batam")
    waits = Service("pajak", sites, protection="sync", backup_loss="block")
    return (Service("paspor", sites, protection="sync"), waits)


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


@pytest.mark.parametrize("service", ["paspor", "pajak"])
async def test_a_lost_backup_is_gone_from_the_store_before_a_commit_stops_waiting_for_it(
    whole: Lab, service: str
) -> None:
    """And is eligible again only when commits wait for it: by the engine, the store, the journal
    and what clients were told. One that blocks is never relaxed at all."""
    async with Watch(whole, service) as watch:
        done = await backup_lost(watch, away_s=3.0, clients=2)
    print(done.notes)
    assert done.wrong() == ""
    connection = await whole.as_superuser(service, await whole.primary_site(service))
    try:
        state = await connection.fetchval("SELECT sync_state FROM pg_stat_replication")
    finally:
        await connection.close(timeout=2)
    assert state == "sync"
