"""What is no failure of the primary moves nothing; what loses too much waits for a person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from lab.base.plan import Service, agent_of
from lab.base.processes import Child
from lab.incidents.incident import Watch, act
from lab.running.api import ApiError
from lab.running.four_sites import Lab
from tests.lab.conftest import FAST

pytestmark = [pytest.mark.lab, pytest.mark.postgres, pytest.mark.asyncio(loop_scope="module")]

STRICT = Service("perizinan", ("batam", "jabodetabek"), loss_bound="1kB")
RATE_IS_KNOWN = 300
"""Writes at a hundred a second, for as long as it takes to know how fast the log grows."""
WRAPPED = Path(__file__).parent / "wrapped"

SICK = {
    "a read-only setting": (
        "ALTER SYSTEM SET default_transaction_read_only = on",
        "ALTER SYSTEM RESET default_transaction_read_only",
    ),
    "a wraparound": (
        # What the server says at a wraparound, said by a trigger on the probe's table.
        """
        CREATE FUNCTION saling.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          RAISE EXCEPTION 'database is not accepting commands that assign new transaction IDs'
          USING ERRCODE = 'program_limit_exceeded'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON saling.probe
          FOR EACH ROW EXECUTE FUNCTION saling.refuse();
        """,
        "DROP FUNCTION saling.refuse() CASCADE",
    ),
}


@pytest.fixture(scope="module")
def services() -> tuple[Service, ...]:
    return (FAST, STRICT)


@pytest_asyncio.fixture(loop_scope="module")
async def superuser(whole: Lab) -> AsyncIterator[asyncpg.Connection]:
    """A DBA's session at the primary of paspor."""
    connection = await whole.as_superuser("paspor", await whole.primary_site("paspor"))
    yield connection
    connection.terminate()


async def held(lab: Lab, service: str, reason: str) -> dict[str, Any]:
    return await lab.wait_for(
        f"{service} to be held for {reason}", lambda s: s["held_for"] == reason, service
    )


@pytest.mark.parametrize("illness", SICK)
async def test_commits_that_fail_for_a_reason_that_travels_are_held_and_never_promoted(
    whole: Lab, superuser: asyncpg.Connection, illness: str
) -> None:
    before = await whole.api.explain("paspor")
    sicken, heal = SICK[illness]
    await superuser.execute(sicken)
    await superuser.execute("SELECT pg_reload_conf()")
    seen = await held(whole, "paspor", "illness")
    assert seen["primary"] == before["primary"]
    await superuser.execute("SET default_transaction_read_only = off")
    await superuser.execute(heal)
    await superuser.execute("SELECT pg_reload_conf()")
    after = await whole.wait_until_whole("paspor")
    assert (after["epoch"], after["primary"]) == (before["epoch"], before["primary"])


async def test_a_locked_probe_table_is_held_and_never_promoted(
    whole: Lab, superuser: asyncpg.Connection
) -> None:
    before = await whole.api.explain("paspor")
    async with superuser.transaction():
        await superuser.execute("LOCK TABLE saling.probe IN ACCESS EXCLUSIVE MODE")
        seen = await held(whole, "paspor", "illness")
    assert seen["primary"] == before["primary"]
    after = await whole.wait_until_whole("paspor")
    assert (after["epoch"], after["primary"]) == (before["epoch"], before["primary"])


async def test_a_loss_beyond_the_bound_is_held_until_the_right_approval(whole: Lab) -> None:
    before = await whole.api.explain("perizinan")
    async with Watch(whole, "perizinan") as watch:
        await watch.wait_for_writes(RATE_IS_KNOWN)
        dead = await whole.primary_site("perizinan")
        whole.kill_site(dead)
        seen = await held(whole, "perizinan", "loss")
        epoch, loss, time_ms = seen["epoch"], seen["loss_bytes"], seen["loss_ms"]
        assert loss > seen["loss_bound_bytes"]
        assert "approve" in seen["because"]
        right = {"epoch": epoch, "loss_bytes": loss, "loss_ms": time_ms, "reason": "accepted"}
        for stale in ({"epoch": epoch - 1}, {"loss_bytes": 1}):
            with pytest.raises(ApiError) as refused:
                await whole.api.ask("perizinan", "approve", **(right | stale))
            assert refused.value.status == 412
        # Its tier is strategis: it takes two people.
        for person in ("siti", "budi"):
            await whole.api.ask("perizinan", "approve", **(right | {"by": person}))
        after = await whole.wait_for_phase("perizinan", "ALONE")
        await watch.wait_for_writes()
    assert (after["epoch"], after["primary"]) == (before["epoch"] + 1, before["backup"])


async def rejected(lab: Lab) -> float:
    """How many messages the controller has put aside as malformed."""
    name = 'saling_messages_rejected_total{reason="malformed"} '
    lines = (await lab.api.metrics()).splitlines()
    return next(float(line.removeprefix(name)) for line in lines if line.startswith(name))


async def test_lost_doubled_late_and_garbled_messages_change_no_outcome(whole: Lab) -> None:
    await whole.kill_controller()
    config = ["--config", str(whole.plan.topology_file)]
    chaotic = [
        Child("chaos", whole.controller.log, [str(WRAPPED / "chaotic_controller.py"), *config])
    ]
    for site in whole.plan.sites:
        await whole.kill_agent(site)
        script = str(WRAPPED / "chaotic_agent.py")
        agent = ["--config", str(whole.plan.agent_file(site))]
        chaotic.append(Child(agent_of(site), whole.agents[site].log, [script, *agent]))
    for child in chaotic:
        child.start()
    try:
        await whole.wait_until_whole("paspor")
        before = await whole.api.explain("paspor")
        async with Watch(whole, "paspor") as watch:

            async def switch() -> None:
                await whole.ask_until_accepted("paspor", "switchover")

            async def die() -> None:
                whole.kill_site(await whole.primary_site("paspor"))

            async def switched() -> None:
                await whole.wait_for(
                    "the switchover to end",
                    lambda s: s["epoch"] == before["epoch"] + 1 and s["protected"],
                    "paspor",
                )

            async def taken_over() -> None:
                await whole.wait_for(
                    "the takeover", lambda s: s["epoch"] == before["epoch"] + 2, "paspor"
                )

            moved = await act(watch, "switchover in chaos", switch, switched)
            failed = await act(watch, "site dies in chaos", die, taken_over)
        assert (moved.acked_lost, moved.two_writers_s) == (0, 0)
        assert failed.two_writers_s == 0
        assert await rejected(whole) > 0
    finally:
        for child in chaotic:
            await child.end()
