"""Disks that are really full, of promises and of data, and an engine that hangs in the kernel."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from lab.base.plan import Plan, Service
from lab.base.records import now_ms
from lab.faults.small_disk import NoDisk, SmallDisk, why_not
from lab.faults.stuck import StuckEngine
from lab.faults.stuck import why_not as why_not_stuck
from lab.incidents.incident import Watch, acked, act, numbers_at_primary
from lab.running.api import ApiError
from lab.running.four_sites import Lab

pytestmark = [
    pytest.mark.lab,
    pytest.mark.postgres,
    pytest.mark.root,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.asyncio(loop_scope="module"),
]

SMALL_LOG = {"max_wal_size": "64MB", "min_wal_size": "32MB"}
MOVES = Service("paspor", ("jabodetabek", "batam"), disk_filling="switchover", settings=SMALL_LOG)
STAYS = Service("pajak", ("batam", "jabodetabek"), settings=SMALL_LOG)
PRIMARY, PARTNER = MOVES.sites
MIB = 2**20


@dataclass
class OnSmallDisks:
    """A whole lab; where the data of one site and the promises of the other stand."""

    lab: Lab
    data: SmallDisk
    """Of both services' copies at PRIMARY."""
    promises: SmallDisk
    """Of the agent at PARTNER."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small() -> AsyncIterator[OnSmallDisks]:
    directory = Path(tempfile.mkdtemp(prefix="saling-"))
    plan = Plan(directory, (MOVES, STAYS), 2)
    data = SmallDisk(plan.data_directory(PRIMARY), 768 * MIB)
    promises = SmallDisk(plan.site_directory(PARTNER) / "state", 4 * MIB)
    with ExitStack() as mounted:
        try:
            mounted.enter_context(data)
            mounted.enter_context(promises)
        except NoDisk as error:
            pytest.skip(f"no file system can be mounted here: {error}")
        async with Lab(plan) as lab:
            yield OnSmallDisks(lab, data, promises)
    shutil.rmtree(directory, ignore_errors=True)


async def test_who_can_keep_no_promise_is_no_backup_and_its_own_primary_serves_on(
    small: OnSmallDisks,
) -> None:
    lab = small.lab
    small.promises.fill()
    try:
        seen = await lab.wait_for_phase(MOVES.name, "ALONE")
        said = ("No space left on device", "the state directory cannot be written")
        assert any(text in seen["advice"] for text in said)
        async with Watch(lab, STAYS.name) as watch:
            await watch.wait_for_writes()
        with pytest.raises(ApiError, match="cannot promise anything"):
            await lab.api.ask(STAYS.name, "switchover", reason="the lab asks")
        with pytest.raises(ApiError):
            await lab.api.ask(MOVES.name, "switchover", reason="the lab asks")
    finally:
        small.promises.make_room()
    await lab.wait_until_protected()
    assert await lab.primary_site(MOVES.name) == PRIMARY


@pytest.mark.skipif(bool(why_not_stuck()), reason=why_not_stuck())
async def test_an_engine_that_no_kill_ends_is_taken_over_and_its_agent_serves_the_others(
    small: OnSmallDisks,
) -> None:
    lab = small.lab
    await lab.wait_until_protected()
    async with Watch(lab, MOVES.name) as watch:
        with StuckEngine(lab.plan.data_directory(PRIMARY) / MOVES.name) as stuck:
            stuck.stick()
            stuck_ms = now_ms()
            await lab.wait_for_phase(MOVES.name, "ALONE")
            assert await lab.primary_site(MOVES.name) == PARTNER
            await watch.wait_for_writes()
            told = await lab.wait_for(
                "the agent to say so",
                lambda seen: any("hang in the kernel" in _problem(c) for c in seen["copies"]),
                MOVES.name,
            )
            assert told["phase"] == "ALONE"
            # The same agent renews, grants and reports for its other service all the while.
            await lab.wait_until_whole(STAYS.name)
            stuck.release()
        await lab.wait_until_whole(MOVES.name)
        # The log is read first: what is acknowledged after the rows were read is not lost.
        since = [i for i in watch.inserts() if acked(i) and i.start_ms > stuck_ms]
        present = set(await numbers_at_primary(lab, MOVES.name))
        assert {i.site for i in since} == {PARTNER}
        assert {i.n for i in since} <= present
    await lab.switch_over(MOVES.name)
    await lab.wait_until_protected()


async def test_a_primary_is_moved_before_its_disk_is_full_and_loses_nothing(
    small: OnSmallDisks,
) -> None:
    lab = small.lab
    await lab.wait_until_protected()
    assert await lab.primary_site(MOVES.name) == PRIMARY
    async with Watch(lab, MOVES.name) as watch:

        async def fill() -> None:
            small.data.fill(leave_bytes=100 * MIB)

        async def moved() -> None:
            await lab.wait_for(
                "the move",
                lambda seen: seen["primary"].startswith(PARTNER) and seen["phase"] == "ALONE",
                MOVES.name,
            )

        done = await act(watch, "disk filled", fill, moved)
    assert (done.acked_lost, done.two_writers_s) == (0, 0)
    (begun,) = [x for x in done.timeline if x["phase"] == "DRAINING"]
    assert str(small.data.path) in begun["because"]
    history = await lab.api.history(MOVES.name)
    move = next(x["transition"] for x in history if x["transition"]["to_phase"] == "DRAINING")
    assert (move["operation"]["kind"], move["operation"]["by"]) == ("switchover", "the controller")
    assert "the floor is 128.0 MiB" in move["operation"]["reason"]
    # What is left there is too little for a backup, of both services.
    seen = await lab.wait_for_phase(STAYS.name, "ALONE")
    assert "is full" in seen["because"]
    left = (await lab.services())[MOVES.name]
    assert left["phase"] == "ALONE"
    assert small.data.free_bytes > 0


def _problem(copy: dict[str, dict[str, str]]) -> str:
    return (copy["report"] or {}).get("problem", "")
