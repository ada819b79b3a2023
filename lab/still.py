"""What stands still in a primary's site while the rest of it runs: its agent alone, or more.

Clients stay with the old primary over TCP and over its unix socket (`lab.loyal`), so that whatever
it still acknowledges is counted by the way it was reached. `lab.unkind` gives the figures.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from typing import Any

import msgspec

from lab.four_sites import Lab
from lab.incident import Watch
from lab.unkind import Fault, Unkind, told
from lab.witness import Witness

PATIENCE_S = 10.0
"""For so long clients wait beyond the end of the fault."""


async def agent_stopped(lab: Lab, watch: Watch[Any], hold_s: float) -> Unkind:
    """The primary's agent alone is stopped, and goes on later; engine and guard run."""
    site = await lab.primary_site(watch.service)
    agent = [lab.agents[site].pid]

    async def stop() -> None:
        send_all(agent, signal.SIGSTOP)

    async def go_on() -> None:
        send_all(agent, signal.SIGCONT)

    fault = Fault("primary's agent stopped", stop, go_on)
    async with Witness(watch, site, hold_s + PATIENCE_S) as witness:
        try:
            return _moved(await told(watch, witness, hold_s, fault))
        finally:
            await go_on()


def send_all(pids: Iterable[int], number: signal.Signals) -> None:
    """To each that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _moved(seen: Unkind) -> Unkind:
    """With what must not be where a takeover is due: none, or two writers."""
    two_writers_s = seen.act_and_after().two_writers_s
    found = [] if seen.failed_over else ["nothing failed over"]
    if two_writers_s:
        found.append(f"two writers for {two_writers_s} s")
    return msgspec.structs.replace(seen, broken="; ".join(found))
