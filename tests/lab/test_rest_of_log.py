"""An engine dies on a host that lives: its backup takes over with all that was acknowledged,
though it had not received all of it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from lab.base.plan import Service
from lab.base.processes import pids_of
from lab.incidents.incident import Watch, act
from lab.running.four_sites import Lab
from tests.lab.conftest import FAST, PRIMARY

pytestmark = [pytest.mark.lab, pytest.mark.postgres, pytest.mark.asyncio(loop_scope="module")]

NO_RESTART = {
    "ttl": "2s",
    "renew": "400ms",
    "fence_budget": "300ms",
    "restart_budget": "0s",
    "drain_budget": "3s",
    "log_budget": "5s",
}
"""A crashed engine is never restarted in place: its service moves at once."""
LEFT_BEHIND = 50


@pytest.fixture(scope="module")
def services() -> tuple[Service, ...]:
    return (Service("paspor", FAST.sites, lease=NO_RESTART),)


def stop_sending(lab: Lab) -> None:
    """The backup receives nothing more, and its link is as it was."""
    data = lab.plan.data_directory(PRIMARY) / "paspor"
    senders = [pid for pid in pids_of_engine(data) if b"walsender" in title(pid)]
    assert senders
    for pid in senders:
        os.kill(pid, signal.SIGSTOP)


def pids_of_engine(data: Path) -> list[int]:
    postmasters = pids_of(data.parent)
    children = [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and parent(int(entry.name)) in postmasters
    ]
    return [*postmasters, *children]


def parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def title(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


async def test_a_crashed_engine_on_a_living_host_loses_nothing(whole: Lab) -> None:
    assert await whole.primary_site("paspor") == PRIMARY
    before = await whole.api.explain("paspor")

    async with Watch(whole, "paspor") as watch:

        async def fault() -> None:
            stop_sending(whole)
            await watch.wait_for_writes(LEFT_BEHIND)
            whole.kill_engine("paspor", PRIMARY)

        async def end() -> None:
            await whole.wait_for(
                "the takeover",
                lambda s: s["epoch"] == before["epoch"] + 1 and s["phase"] == "PROTECTED",
                "paspor",
            )

        done = await act(watch, "engine killed, its log not sent", fault, end)
    print(f"no write for {done.outage_s:.2f} s, promoted after {done.promotion_s:.2f} s")
    assert (done.acked_lost, done.two_writers_s) == (0, 0)
    promoted = next(line for line in done.timeline if line["phase"] == "PROMOTING")
    assert "loses an estimated 0 bytes" in promoted["because"]
