"""What stands still is fenced all the same, by the kernel too, and sync mode loses nothing: rows of
`lab.bench` once each, with clients that stay with the old primary over TCP and its unix socket."""

from __future__ import annotations

import pytest

from lab.base.plan import Service
from lab.incidents.incident import Watch
from lab.incidents.loyal import SOCKET, TCP
from lab.incidents.still import agent_stopped, engine_first
from lab.incidents.sync_rounds import BREAKS, rounds
from lab.roads.namespaces import why_not
from lab.running.four_sites import Lab
from tests.lab.unkindness import incident

pytestmark = [
    pytest.mark.lab,
    pytest.mark.postgres,
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.asyncio(loop_scope="module"),
]

KERNEL = {"nftables": "required"}
FAST = Service("paspor", ("jabodetabek", "batam"), fences=KERNEL)
SYNC = Service("pajak", ("batam", "jabodetabek"), protection="sync", fences=KERNEL)


@pytest.fixture(scope="module")
def network() -> str:
    return "namespaces"


@pytest.fixture(scope="module")
def services() -> tuple[Service, ...]:
    return (FAST, SYNC)


async def test_a_stopped_agent_is_taken_over_and_its_engine_acknowledges_nothing_after_the_lease(
    whole: Lab,
) -> None:
    told = await incident(whole, agent_stopped, 3.0)
    assert told.failed_over
    assert {one.way for one in told.ways} == {TCP, SOCKET}
    for one in told.ways:
        assert one.acked > 0, f"{one.way}: the engine went on until its guard ended it"
        assert one.lease_margin_s is not None and one.lease_margin_s > 0
        assert one.acked_after_promotion == 0


async def test_the_kernel_keeps_clients_from_an_engine_that_wakes_before_its_guard(
    whole: Lab,
) -> None:
    """Over its unix socket it is reached, as docs/safety.md says: what it writes is quarantined."""
    told = await incident(whole, engine_first, 5.0)
    assert told.failed_over
    by_way = {one.way: one for one in told.ways}
    assert by_way[TCP].acked_after_promotion == 0
    assert by_way[SOCKET].acked_after_promotion > 0, "the engine ran"


async def test_a_sync_service_loses_no_acknowledged_write_of_many_clients(whole: Lab) -> None:
    """Frozen, then thawed to another's reign; a killed site is in `test_sync`."""
    async with Watch(whole, SYNC.name) as watch:
        (done,) = await rounds(watch, BREAKS["sync-frozen"], rounds=1, clients=4)
    print(f"\n{done}")
    assert done.wrong() == ""
    assert done.act.promotion_s >= 0
