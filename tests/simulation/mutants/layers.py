"""Rule 4, outside of the guard: what holds though the guard, the host or its clocks stand still."""

from __future__ import annotations

from typing import Any

from simulator.parts.engine import Engine
from simulator.parts.fence import NFTABLES, WATCHDOG, WATCHDOG_MS, Door, Watchdog
from simulator.parts.guard import Guard
from simulator.parts.host import Host
from simulator.strike import Strike
from tests.simulation.mutants.base import WRITERS, Mutant, Patch
from tests.simulation.night import Night

LATE_MS = 3000
JUMPS = 7
"""Where what a guard is told of jumps stands among its parts."""


def fence_is_armed_without_an_end(patch: Patch) -> None:
    """The kernel's door is opened under a lease as in ALONE: nobody but the guard shuts it."""
    patch.setattr(Door, "arm", lambda door, _end_ms: door.open())


def fence_is_armed_past_the_deadline(patch: Patch) -> None:
    """The door stays open for a while longer than the lease lasts."""
    arm = Door.arm
    patch.setattr(Door, "arm", lambda door, end_ms: arm(door, end_ms + LATE_MS))


def lease_is_acknowledged_before_the_fence_is_armed(patch: Patch) -> None:
    """The guard answers at once, and somebody arms the door when there is time for it."""
    arm = Guard._arm

    def later(guard: Guard, _deadline_ms: int) -> None:
        def now() -> None:
            if guard.alive and not guard.still and guard.deadline_ms:
                arm(guard, guard.deadline_ms)

        guard._kernel.after(LATE_MS, now)

    patch.setattr(Guard, "_arm", later)


def fence_passes_what_is_established(patch: Patch) -> None:
    """The door stops new connections; the clients that write have had theirs for long."""
    shut_out = Engine.shut_out_clients

    def half(engine: Engine, shut: bool) -> None:
        shut_out(engine, shut and not engine.writable)

    patch.setattr(Engine, "shut_out_clients", half)


def suspend_is_not_noticed(patch: Patch) -> None:
    """The guard looks at one clock only, and a door whose timer stood still is open too long."""
    patch.setattr(Guard, "void", lambda _guard: None)


def wall_time_that_jumps_is_ignored(patch: Patch) -> None:
    """A lease of before a pause, which the boot clock missed, goes on after it."""
    patch.setattr(Guard, "jump", lambda _guard, _jump_ms: None)


def new_guard_is_told_of_no_jump(patch: Patch) -> None:
    """A guard that takes a dead one's place gets the lease of before a pause, and nobody tells it
    how much of it the pause took."""
    begin = Guard.__init__

    def forgetful(guard: Guard, *parts: Any) -> None:
        begin(guard, *parts[:JUMPS])

    patch.setattr(Guard, "__init__", forgetful)


def watchdog_is_petted_past_the_deadline(patch: Patch) -> None:
    """It is petted until the lease ends, so that the reset comes after it."""
    arm = Watchdog.arm
    patch.setattr(Watchdog, "arm", lambda dog, end_ms: arm(dog, end_ms + WATCHDOG_MS))


def guard_that_stands_still_is_left(patch: Patch) -> None:
    """The agent takes a guard that is there for one that keeps the deadline."""
    patch.setattr(Host, "end_still_guard", lambda _host, _service: None)


DOOR, DOG = (NFTABLES,), (WATCHDOG,)
NOBODY_FENCES = Strike(9_000, "pause-guards-and-agent", ("alpha",), 10_000)
CUT_OFF = Strike(8_900, "isolate", ("alpha",), 20_000)
GUARD_ALONE = Strike(9_000, "pause-guard", ("alpha", "s1"), 20_000)

UNFENCED = Night(NOBODY_FENCES, layers=DOOR)
JUST_ARMED = Night(Strike(5_000, "pause-guards-and-agent", ("alpha",), 10_000), layers=DOOR)
SUSPENDED = Night(
    CUT_OFF,
    Strike(9_000, "suspend-host", ("alpha",), 2_000),
    Strike(11_700, "pause-guards-and-agent", ("alpha",), 10_000),
    lease="standard",
    layers=DOOR,
)
"""The door's timer is 2 s late, and those who could know it stand still soon after."""
PAUSED = Night(
    CUT_OFF, Strike(9_000, "pause-machine", ("alpha", "5"), 8_000), lease="standard", layers=DOOR
)
"""The lease ended meanwhile; of the host's clocks only wall time shows it."""
PAUSED_AND_KILLED = Night(
    CUT_OFF,
    Strike(9_000, "pause-machine", ("alpha", "5"), 3_000),
    Strike(12_150, "kill-guard", ("alpha", "s1"), 1_000),
    lease="standard",
    layers=DOOR,
)
"""The guard that saw wall time being put right dies right after it."""
UNPETTED = Night(
    CUT_OFF,
    Strike(18_800, "pause-guards-and-agent", ("alpha",), 15_000),
    lease="watched",
    layers=DOG,
)
"""Those who fence stand still just before they would have to."""

MUTANTS = (
    Mutant(fence_is_armed_without_an_end, "4", WRITERS, "still", night=UNFENCED),
    Mutant(fence_is_armed_past_the_deadline, "4", WRITERS, "still", night=UNFENCED),
    Mutant(
        lease_is_acknowledged_before_the_fence_is_armed, "4", WRITERS, "still", night=JUST_ARMED
    ),
    Mutant(fence_passes_what_is_established, "4", WRITERS, "still", night=UNFENCED),
    Mutant(suspend_is_not_noticed, "4", WRITERS, "still", night=SUSPENDED),
    Mutant(wall_time_that_jumps_is_ignored, "4", WRITERS, "still", seconds=22, night=PAUSED),
    Mutant(new_guard_is_told_of_no_jump, "4", WRITERS, "still", night=PAUSED_AND_KILLED),
    Mutant(watchdog_is_petted_past_the_deadline, "4", WRITERS, "still", seconds=24, night=UNPETTED),
    Mutant(
        guard_that_stands_still_is_left, "4", WRITERS, "still", night=Night(GUARD_ALONE, CUT_OFF)
    ),
)
