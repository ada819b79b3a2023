"""Rules 4 and 5: the fence is over before the lease is, and nothing writes by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agents.core import engine, permission
from agents.core import step as agent_step
from agents.core.model import JobKind, Replica
from agents.core.observation import Disk
from controller.core.conditions import pair as conditions
from controller.core.moment import detector, view
from protocol.messages import Assignment, Goal, Role
from simulator.parts.engine import Engine
from simulator.parts.guard import Guard
from simulator.parts.host import Host
from simulator.strike import Strike
from tests.simulation.mutants.base import WRITERS, Mutant, Patch
from tests.simulation.night import Night


def no_fence_budget(patch: Patch) -> None:
    """The fence begins when the lease ends."""
    allowed = permission.permit_now

    def late(replica: Replica, now_ms: int) -> Any:
        permit, end_ms = allowed(replica, now_ms)
        assignment = permission.reigning(replica)
        budget_ms = assignment.terms.fence_budget_ms if assignment and end_ms else 0
        return permit, end_ms + budget_ms

    patch.setattr(agent_step, "permit_now", late)


def guard_keeps_no_deadline(patch: Patch) -> None:
    """The fence hangs on the agent alone, which may be paused or dead."""
    patch.setattr(Guard, "_keep_deadline", lambda _guard: None)


def fence_ends_a_process_group_only(patch: Patch) -> None:
    """The guard takes the end of the first process for the end of all: backends write on."""
    bury, stop = Guard._bury, Engine.stop

    def linger(guard: Guard, reason: str, clean: bool) -> None:
        engine, kernel = guard.engine, guard._kernel
        if clean or not engine.writable:
            bury(guard, reason, clean)
            return
        run = engine.run
        kernel.after(
            kernel.between(300, 3000), lambda: stop(engine, clean) if engine.run == run else None
        )
        with patch.context() as meanwhile:
            meanwhile.setattr(Engine, "stop", lambda _engine, _clean: None)
            bury(guard, reason, clean)

    patch.setattr(Guard, "_bury", linger)


def fence_is_told_before_it_is_over(patch: Patch) -> None:
    """The guard says that nothing writes as soon as it has begun to kill."""
    close = Guard.close

    def hasty(guard: Guard, done: Callable[[], None]) -> None:
        close(guard, lambda: None)
        done()

    patch.setattr(Guard, "close", hasty)


def engine_starts_writable(patch: Patch) -> None:
    """An engine that was a primary comes up as one by itself when its host does."""
    boot = Host.boot

    def eager(host: Host) -> None:
        was_down = not host.up
        boot(host)
        for service in host.services if was_down else ():
            engine = service.engines[host.site]
            if engine.disk is Disk.DATA and not engine.upstream and engine.role is Role.DOWN:
                engine.begin_start()
                engine.reign("", fork=False)

    patch.setattr(Host, "boot", eager)


def guard_lets_a_dead_primary_start(patch: Patch) -> None:
    """A copy that reigned last is started as a primary, and its guard asks for no permission."""
    wish = engine._primary_wish

    def eager(replica: Replica, assignment: Assignment, now_ms: int) -> Any:
        down = replica.observation.role is Role.DOWN
        if down and replica.durable.reign_epoch == assignment.epoch:
            return JobKind.START_PRIMARY, None
        return wish(replica, assignment, now_ms)

    patch.setitem(engine._WISHES, Goal.PRIMARY, eager)
    patch.setattr(Guard, "refuses", lambda _guard: False)
    patch.setattr(agent_step, "_end_usurper", lambda _replica: [])


def processes_of_a_stuck_engine_are_spared(patch: Patch) -> None:
    """While one process hangs in the kernel the kill waits for it, and the others write on."""
    patch.setattr(Engine, "doom", lambda _engine: None)


def unfenced_copy_becomes_primary(patch: Patch) -> None:
    """A copy takes the primary role though a layer of the fence that it requires is missing."""
    patch.setattr(permission, "fence_missing", lambda _replica: "")


def unfenced_backup_is_counted_on(patch: Patch) -> None:
    """The controller promotes a backup that says that it cannot be a primary."""
    for reader in (conditions, detector, view):
        patch.setattr(reader, "cannot_take_over", lambda told: told.cannot_promise)


UNFENCED_PRIMARY = Night(
    Strike(9_000, "crash-host", ("bravo",), 30_000),
    Strike(18_000, "unfence", ("alpha", "s1"), 20_000),
    Strike(20_000, "crash-host", ("alpha",), 3_000),
)
"""It stands alone, and its host boots anew without a layer."""
UNFENCED_BACKUP = Night(
    Strike(9_000, "unfence", ("bravo", "s1"), 30_000),
    Strike(20_500, "crash-host", ("alpha",), 10_000),
)
HANGS_IN_THE_KERNEL = Night(Strike(9_000, "stick-engine", ("alpha", "s1"), 10_000))

MUTANTS = (
    Mutant(no_fence_budget, "4", WRITERS),
    Mutant(guard_keeps_no_deadline, "4", WRITERS),
    Mutant(fence_ends_a_process_group_only, "4", WRITERS),
    Mutant(fence_is_told_before_it_is_over, "4, 6", WRITERS),
    Mutant(processes_of_a_stuck_engine_are_spared, "4", WRITERS, night=HANGS_IN_THE_KERNEL),
    Mutant(unfenced_copy_becomes_primary, "4", ("layers",), night=UNFENCED_PRIMARY, seconds=40),
    Mutant(unfenced_backup_is_counted_on, "4", ("layers",), night=UNFENCED_BACKUP, seconds=40),
    Mutant(engine_starts_writable, "5", WRITERS),
    Mutant(guard_lets_a_dead_primary_start, "5", WRITERS, "crashes"),
)
