"""How the tests run an unkind incident, and what must be true of every one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from lab.incidents.incident import Act, Watch
from lab.incidents.slot_lost import MIB, SlotLost
from lab.incidents.unkind import Unkind
from lab.running.four_sites import Lab

HOLD_S = 8.0
"""Four leases: whatever a lease decides has been decided."""


async def incident(
    lab: Lab,
    scenario: Callable[[Any, Watch[Any], float], Awaitable[Unkind]],
    hold_s: float = HOLD_S,
) -> Unkind:
    """Run it, print its figures, and check what must be true of every one."""
    async with Watch(lab, "paspor") as watch:
        seen = await scenario(lab, watch, hold_s)
    print(f"\n{seen}")
    assert (seen.act.two_writers_s, seen.two_writers_s, seen.lost_after) == (0, 0, 0)
    assert seen.lease_margin_s is None or seen.lease_margin_s > 0
    assert (seen.kept is not None) == seen.failed_over
    assert seen.wrong() == ""
    return seen


def told(**figures: Any) -> Unkind:
    """An incident that came to nothing, but for these figures."""
    act = Act(
        name="primary site cut off",
        service="paspor",
        outage_s=2.0,
        promotion_s=1.9,
        acked_lost=0,
        two_writers_s=0,
        lease_ttl_s=2,
        longest_gap_before_s=0,
        acked=1,
        timeline=[],
    )
    nothing = Unkind(
        act=act,
        failed_over=True,
        lease_margin_s=0.5,
        acked_inside=0,
        lost_inside=0,
        acked_after_thaw=0,
        two_writers_s=0,
        two_writers_after_s=0,
        lost_after=0,
        whole_after_s=0,
        lag_bytes=0,
        reasons=[],
        kept=None,
        difference="",
        mended_in="",
    )
    return msgspec.structs.replace(nothing, **figures)


def absent(**figures: Any) -> SlotLost:
    """An absence in which all was well, but for these figures."""
    well = SlotLost(
        act=msgspec.structs.replace(told().act, name="backup away"),
        written_bytes=256 * MIB,
        pg_wal_before_bytes=64 * MIB,
        pg_wal_most_bytes=112 * MIB,
        pg_wal_bound_bytes=128 * MIB,
        whole_after_s=10,
        copied_anew=True,
        difference="",
    )
    return msgspec.structs.replace(well, **figures)


async def assert_backup_streams(lab: Lab, site: str) -> None:
    """And from the primary itself."""
    seen = await lab.api.explain("paspor")
    assert seen["backup"].startswith(site)
    connection = await lab.as_superuser("paspor", await lab.primary_site("paspor"))
    try:
        states = await connection.fetch("SELECT state FROM pg_stat_replication")
    finally:
        await connection.close(timeout=2)
    assert [row["state"] for row in states] == ["streaming"]
