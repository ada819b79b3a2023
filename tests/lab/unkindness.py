"""How the tests run an unkind incident, and what must be true of every one."""

from __future__ import annotations

from lab.four_sites import Lab
from lab.incident import Watch
from lab.unkind import Scenario, Unkind

HOLD_S = 8.0
"""Four leases: whatever a lease decides has been decided."""


async def incident(lab: Lab, scenario: Scenario, hold_s: float = HOLD_S) -> Unkind:
    """Run it, print its figures, and check what must be true of every one."""
    async with Watch(lab, "paspor") as watch:
        told = await scenario(lab, watch, hold_s)
    print(f"\n{told}")
    assert (told.act.two_writers_s, told.two_writers_s, told.lost_after) == (0, 0, 0)
    assert told.lease_margin_s is None or told.lease_margin_s > 0
    return told


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
