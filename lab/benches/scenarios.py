"""What the benchmark does to a service, and what it takes: one registry, in the table's order.

A scenario is a function over a watched ground (`lab.running.ground`): it causes its fault, waits
for the end and returns what each incident of the run came to. A new one needs a line in
`SCENARIOS`, no more: the command, the table and the estimate of time follow from it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from lab.base.processes import Child
from lab.base.records import now_ms
from lab.clients.crowd import Crowd
from lab.faults import stuck
from lab.incidents import returns, slot_lost, still, sync_rounds, unkind
from lab.incidents.backup_lost import backup_lost
from lab.incidents.guard_stopped import guard_stopped
from lab.incidents.incident import Act, Watch, act, numbers_at_primary
from lab.incidents.judged import Judged
from lab.incidents.loss_held import LOSS_BOUND, loss_held
from lab.roads.netns import why_not
from lab.running.four_sites import Lab
from lab.running.ground import Ground

SERVICE = "paspor"
QUIET_S = 60.0
BUSY_S = 600.0
HOLD_S = 60.0
"""How long a site stays cut off or frozen."""
AGENT_HOLD_S = 15.0
ROUND_S = 25.0
KERNEL = {"nftables": "required"}
"""The fence that those have in whom everybody in user space may stand still."""
BACK_S = 120.0
"""How long a service may be without writes before the run counts as failed."""
MOVES = 10

Done = Act | unkind.Unkind | slot_lost.SlotLost | Judged
Do = Callable[[Watch[Any]], Awaitable[Sequence[Done]]]


@dataclass(frozen=True)
class Scenario:
    """One row of the benchmark for each profile."""

    do: Do
    run_s: float
    """How long one run takes besides what lasts as long as the lease."""
    leases: float = 0.0
    """How many times the lease one run lasts in addition."""
    profiles: tuple[str, ...] = ("fast", "standard")
    runs_at_most: int = 1000
    peers: bool = True
    """Whether it can be done to a peer, too: it has no controller of its own to kill."""
    network: str = "proxies"
    """Of the lab: what has clients inside a faulty site needs namespaces, and so root."""
    service: Mapping[str, Any] = field(default_factory=dict)
    """The fields of `lab.base.plan.Service` in which its service differs from the benchmark's."""

    needs: Callable[[], str] = lambda: ""
    """Why this machine lacks what it takes besides its network; empty when it does not."""

    def hindrance(self) -> str:
        """Why it cannot be done here; empty when it can."""
        return (why_not() if self.network == "namespaces" else "") or self.needs()


async def engine_killed(watch: Watch[Ground]) -> list[Act]:
    """kill -9 of every process of the primary's engine."""
    site = await watch.lab.primary_site(SERVICE)

    async def fault() -> None:
        watch.lab.kill_engine(SERVICE, site)

    return [await act(watch, "engine killed", fault, lambda: _writes(watch))]


async def site_killed(watch: Watch[Ground]) -> list[Act]:
    """kill -9 of every process of the primary's site; it is started again afterwards."""
    site = await watch.lab.primary_site(SERVICE)

    async def fault() -> None:
        watch.lab.kill_site(site)

    done = await act(watch, "primary site killed", fault, lambda: _writes(watch))
    watch.lab.start_site(site)
    return [done]


async def switchover(watch: Watch[Ground]) -> list[Act]:
    """A planned move of one service, with an idle checkpoint."""
    await _checkpoint(watch.lab)
    return [await act(watch, "planned switchover", lambda: _moved(watch), _nothing)]


async def crowded(watch: Watch[Ground]) -> list[Act]:
    """Ten planned moves there and back while eight clients write.

    The outage is that of the client that waited longest, each move by itself.
    """
    done = []
    async with Crowd(watch.lab, SERVICE) as crowd:
        counted_ms = 0.0
        for _ in range(MOVES):
            await watch.lab.wait_until_whole(SERVICE)
            await crowd.wait_for_writes()
            move, since_ms, counted_ms = await _move(watch, crowd), counted_ms, now_ms()
            present = set(await numbers_at_primary(watch.lab, SERVICE))
            lost = crowd.lost(present, since_ms, counted_ms)
            done.append(msgspec.structs.replace(move, acked_lost=move.acked_lost + lost))
    return done


async def no_controller(watch: Watch[Lab]) -> list[Act]:
    """The controller and all brokers dead for a minute, then back; before it, a quiet minute.

    They come back on the very processors that the engines use, so that is measured, too.
    """
    lab = watch.lab
    await asyncio.sleep(QUIET_S)

    async def kill() -> None:
        await lab.kill_controller()
        await lab.kill_brokers()

    async def start() -> None:
        await lab.start_brokers()
        lab.controller.start()

    dead = await act(watch, "controller and brokers killed", kill, lambda: asyncio.sleep(QUIET_S))
    back = await act(
        watch, "controller and brokers back", start, lambda: lab.wait_until_whole(SERVICE)
    )
    return [dead, back]


async def busy(watch: Watch[Ground]) -> list[Act]:
    """Ten minutes with every processor kept busy by other work."""
    burners = [
        Child(f"burner {n}", watch.directory / f"burner-{n}.out", ["-c", "while True: pass"])
        for n in range(os.cpu_count() or 1)
    ]

    async def fault() -> None:
        for burner in burners:
            burner.start()

    async def end() -> None:
        await asyncio.sleep(BUSY_S)
        await _ended(burners)
        await watch.lab.wait_until_whole(SERVICE)

    try:
        return [await act(watch, "all cores busy for 10 minutes", fault, end)]
    finally:
        await _ended(burners)


def _unkind(do: Callable[[Any, Watch[Any], float], Awaitable[Any]], hold_s: float = HOLD_S) -> Do:
    """An incident of `lab.incidents.unkind`."""

    async def held(watch: Watch[Any]) -> list[Any]:
        return [await do(watch.lab, watch, hold_s)]

    held.__doc__ = do.__doc__
    return held


def _rounds(fault_of: sync_rounds.Break) -> Do:
    """Ten rounds of `lab.incidents.sync_rounds`."""

    async def done(watch: Watch[Lab]) -> list[Judged]:
        return await sync_rounds.rounds(watch, fault_of)

    done.__doc__ = f"In sync mode, ten times under 8 clients: {fault_of.__doc__}"
    return done


def _one(do: Callable[[Watch[Lab]], Awaitable[Judged]]) -> Do:
    async def done(watch: Watch[Lab]) -> list[Judged]:
        return [await do(watch)]

    done.__doc__ = do.__doc__
    return done


def _root(do: Do, run_s: float, **service: Any) -> Scenario:
    """A row of fences and sync mode: it needs namespaces, and is shown for one profile."""
    return Scenario(do, run_s, 2, ("fast",), peers=False, network="namespaces", service=service)


SCENARIOS: dict[str, Scenario] = {
    "engine": Scenario(engine_killed, run_s=5, leases=0.5),
    "site": Scenario(site_killed, run_s=6, leases=1.7),
    "switchover": Scenario(switchover, run_s=4, leases=0.5),
    "switchover-8": Scenario(crowded, run_s=40, leases=5, runs_at_most=3),
    "no-controller": Scenario(no_controller, run_s=2 * QUIET_S + 15, runs_at_most=3, peers=False),
    "busy": Scenario(busy, run_s=BUSY_S + 10, profiles=("standard",), runs_at_most=1),
    **{
        name: Scenario(_unkind(do), run_s=HOLD_S + 25, leases=2, network="namespaces")
        for name, do in unkind.SCENARIOS.items()
    },
    **{
        name: Scenario(_unkind(do), HOLD_S + 25, leases=2, peers=False, network="namespaces")
        for name, do in returns.SCENARIOS.items()
    },
    "slot-lost": Scenario(
        slot_lost.slot_lost, 60, peers=False, service={"settings": slot_lost.SETTINGS}
    ),
    "agent-stopped": _root(_unkind(still.agent_stopped, AGENT_HOLD_S), AGENT_HOLD_S + 25),
    "guard-stopped": _root(_unkind(guard_stopped, AGENT_HOLD_S), AGENT_HOLD_S + 25, fences=KERNEL),
    "guard-and-agent": _root(
        _unkind(still.guard_and_agent_stopped, AGENT_HOLD_S), AGENT_HOLD_S + 25, fences=KERNEL
    ),
    "site-frozen": replace(
        _root(_unkind(still.site_frozen), HOLD_S + 40, fences=KERNEL), peers=True
    ),
    "engine-first": _root(_unkind(still.engine_first), HOLD_S + 40, fences=KERNEL),
    "engine-first-open": _root(_unkind(still.engine_first), HOLD_S + 40),
    "site-frozen-sync": _root(
        _unkind(still.site_frozen), HOLD_S + 40, fences=KERNEL, protection="sync"
    ),
    "engine-first-sync": _root(
        _unkind(still.engine_first), HOLD_S + 40, fences=KERNEL, protection="sync"
    ),
    "engine-stuck": replace(
        _root(_unkind(still.engine_stuck, AGENT_HOLD_S), AGENT_HOLD_S + 25, fences=KERNEL),
        needs=stuck.why_not,
    ),
    **{
        name: _root(_rounds(fault_of), ROUND_S * sync_rounds.ROUNDS, protection="sync")
        for name, fault_of in sync_rounds.BREAKS.items()
    },
    **{
        f"sync-backup-{policy}": _root(_one(backup_lost), 40, protection="sync", backup_loss=policy)
        for policy in ("alone", "block")
    },
    "loss-held": _root(_one(loss_held), 80, loss_bound=LOSS_BOUND),
}
"""By the name that the command knows. Each row of the table is one of them under one profile."""


async def _writes(watch: Watch[Any]) -> None:
    await watch.wait_for_writes(wait_s=BACK_S)


async def _moved(watch: Watch[Any]) -> None:
    await watch.lab.switch_over(SERVICE)


async def _nothing() -> None:
    """What was done was waited for already."""


async def _move(watch: Watch[Any], crowd: Crowd) -> Act:
    begun_ms = now_ms()
    done = await act(
        watch,
        "switchover under 8 clients",
        lambda: _moved(watch),
        lambda: crowd.wait_for_writes(BACK_S),
    )
    return msgspec.structs.replace(
        done, outage_s=max(done.outage_s, crowd.outage_s(begun_ms, now_ms()))
    )


async def _checkpoint(ground: Ground) -> None:
    connection = await ground.as_superuser(SERVICE, await ground.primary_site(SERVICE))
    try:
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close(timeout=2)


async def _ended(burners: list[Child]) -> None:
    for burner in burners:
        await burner.end()
