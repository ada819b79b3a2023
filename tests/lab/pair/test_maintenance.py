"""The host of a backup is patched: announced, away, back, and nobody was alarmed."""

from __future__ import annotations

from typing import Any

import pytest

from lab.base.plan import site_of
from lab.base.records import Outcome, now_ms
from lab.incidents.incident import Watch
from lab.judging.checks import longest_gap
from lab.running.api import ApiError
from lab.running.command import saling
from lab.running.four_sites import Lab

pytestmark = [pytest.mark.lab, pytest.mark.postgres, pytest.mark.asyncio(loop_scope="package")]

TEN_MINUTES_MS = 600_000
ANNOUNCED = {"reason": "kernel patches", "for_ms": TEN_MINUTES_MS}

UNPLANNED = 'saling_service_protected{service="paspor"} 0.0'
PLANNED = 'saling_service_maintenance{service="paspor"} 1.0'


async def alarms(lab: Lab) -> list[str]:
    """What the rules of the runbook would raise on the present metrics."""
    lines = (await lab.api.metrics()).splitlines()
    raised = [UNPLANNED] if UNPLANNED in lines and PLANNED not in lines else []
    for kind in ("agent", "site"):
        down = [x for x in lines if x.startswith(f"saling_{kind}_up{{") and x.endswith(" 0.0")]
        planned = [x.replace(f"{kind}_up", f"{kind}_maintenance")[:-3] + "1.0" for x in down]
        raised += [x for x, plan in zip(down, planned, strict=True) if plan not in lines]
    return raised


async def test_a_backup_in_maintenance_alarms_nobody_and_is_armed_again_by_itself(
    whole: Lab,
) -> None:
    before = await whole.api.explain("paspor")
    backup = site_of(before["backup"])
    async with Watch(whole, "paspor") as watch:
        begun_ms = now_ms()
        code, told = await saling(
            whole, "maintenance", "begin", backup, "--for", "10m", "--reason", "kernel patches"
        )
        assert (code, "may be stopped now" in told) == (0, True), told
        whole.kill_site(backup)
        await whole.wait_for("the backup to be away", is_away, "paspor")
        await watch.wait_for_writes()
        assert await alarms(whole) == []
        code, told = await saling(whole, "status")
        assert code == 0, told
        assert f"(maintenance of {before['backup']}, " in told
        with pytest.raises(ApiError) as refused:
            await whole.api.ask("paspor", "switchover")
        assert "is in maintenance" in str(refused.value.body["unmet"])
        whole.start_site(backup)
        after = await whole.wait_until_whole("paspor")
        gap = longest_gap(watch.inserts(), begun_ms, now_ms())
        assert all(i.outcome is Outcome.ACKED for i in watch.inserts())
    assert after["maintenance"] is None
    assert (after["epoch"], after["primary"]) == (before["epoch"], before["primary"])
    assert gap.length_ms < after["predicted_failover_ms"]
    lines = [line["transition"] for line in await whole.api.history("paspor")]
    phases = [line["to_phase"] for line in lines if line["revision"] > before["revision"]]
    assert phases and "COUNTDOWN" not in phases


async def test_the_site_of_a_primary_is_refused_and_goes_on_protected(whole: Lab) -> None:
    primary = await whole.primary_site("paspor")
    code, told = await saling(
        whole, "maintenance", "begin", primary, "--for", "10m", "--reason", "kernel patches"
    )
    assert code == 4
    assert "switch over first, with `saling switchover paspor`" in told
    assert (await whole.api.explain("paspor"))["phase"] == "PROTECTED"


async def test_one_that_is_called_off_is_armed_again_without_the_backup_having_gone(
    whole: Lab,
) -> None:
    await whole.api.ask("paspor", "maintenance-begin", **ANNOUNCED)
    await whole.wait_for_phase("paspor", "ALONE")
    code, told = await saling(whole, "maintenance", "end", "--service", "paspor")
    assert code == 0, told
    await whole.wait_until_whole("paspor")


def is_away(seen: dict[str, Any]) -> bool:
    return bool(seen["maintenance"] and seen["maintenance"]["away"])
