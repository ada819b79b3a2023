"""What fences from outside of the guard: timers that a host's kernel counts by itself.

They count while everybody in user space stands still, and stand still when the kernel does: in a
suspend, and while a virtual machine is paused.
"""

from __future__ import annotations

from collections.abc import Callable

from simulator.kernel import Do, Kernel
from simulator.parts.engine import Engine

NFTABLES, WATCHDOG = "nftables", "watchdog"
LAYERS = (NFTABLES, WATCHDOG)

WATCHDOG_MS = 5000
"""The watchdog resets the host so long after it was last petted (`agents/fences/watchdog.py`)."""
PET_EVERY_MS = 100


class Timer:
    """Does something at a moment, later by as long as its kernel stood still until then."""

    def __init__(self, kernel: Kernel, due: Do) -> None:
        self._kernel = kernel
        self._due = due
        self._due_ms: int | None = None
        self._left_ms: int | None = None
        """How much was left when the kernel stood still."""

    def set(self, due_ms: int) -> None:
        """From now on this moment counts, and no other."""
        self._left_ms, self._due_ms = None, due_ms
        self._kernel.at(due_ms, lambda: self._look(due_ms))

    def clear(self) -> None:
        self._due_ms = self._left_ms = None

    def stand_still(self) -> None:
        if self._due_ms is not None:
            self._left_ms, self._due_ms = self._due_ms - self._kernel.now_ms, None

    def go_on(self) -> None:
        if self._left_ms is not None:
            self.set(self._kernel.now_ms + self._left_ms)

    def _look(self, due_ms: int) -> None:
        if self._due_ms == due_ms:
            self.clear()
            self._due()


class Door:
    """The way of TCP clients to one engine, shut by the kernel when its timer runs out."""

    def __init__(self, kernel: Kernel, shut: Callable[[bool], None]) -> None:
        """`shut` is told whether the door is shut, when that changes."""
        self._kernel = kernel
        self._tell = shut
        self._shut = False
        self.timer = Timer(kernel, self.close)

    def arm(self, end_ms: int) -> None:
        """Open until this true moment, whoever stands still then."""
        if end_ms <= self._kernel.now_ms:
            self.close()
            return
        self.timer.set(end_ms)
        self._set(False)

    def open(self) -> None:
        """Without an end."""
        self.timer.clear()
        self._set(False)

    def close(self) -> None:
        self.timer.clear()
        self._set(True)

    def _set(self, shut: bool) -> None:
        was, self._shut = self._shut, shut
        if was is not shut:
            self._tell(shut)


class Watchdog:
    """Resets the whole host, unless the guard of one engine pets it. Times are true ones."""

    def __init__(self, kernel: Kernel, reset: Do) -> None:
        self._kernel = kernel
        self._end_ms = 0
        """The lease's end; 0: it is petted without one."""
        self.runs = False
        """Whether somebody must pet it: the first lease that is long enough begins it."""
        self.timer = Timer(kernel, reset)

    def arm(self, end_ms: int) -> bool:
        """Petted as long as the reset that follows comes before the lease's end.

        False, and nothing changes, when it would come later already.
        """
        if end_ms - self._kernel.now_ms < WATCHDOG_MS:
            return False
        self.runs, self._end_ms = True, end_ms
        self.timer.set(end_ms)
        return True

    def ease(self) -> None:
        """Petted without an end, for the primary stands alone."""
        self._end_ms = 0
        self.timer.clear()

    def pet(self) -> None:
        """The guard is awake again, and pets it where it may."""
        if self.runs and not self._end_ms:
            self.timer.clear()
        elif self.runs:
            self.arm(self._end_ms)

    def leave(self) -> None:
        """Nobody pets it any more."""
        if not self.runs:
            return
        petted_ms = self._kernel.now_ms - PET_EVERY_MS
        if self._end_ms:
            petted_ms = min(petted_ms, self._end_ms - WATCHDOG_MS)
        self.timer.set(max(self._kernel.now_ms, petted_ms + WATCHDOG_MS))

    def off(self) -> None:
        """No process of the engine is left."""
        self.runs, self._end_ms = False, 0
        self.timer.clear()


class Outer:
    """All that fences from outside of the guards of one host, engine by engine."""

    def __init__(self, kernel: Kernel, layers: tuple[str, ...], reset: Do) -> None:
        self._kernel = kernel
        self._layers = layers
        self._reset = reset
        self._doors: dict[Engine, Door] = {}
        self._watchdogs: dict[Engine, Watchdog] = {}
        self._late: set[Engine] = set()
        """The kernel stood still, and their guards have not looked at their clocks since."""

    def door(self, engine: Engine) -> Door | None:
        """The one of an engine, where this host has such a layer."""
        if NFTABLES in self._layers and engine not in self._doors:
            self._doors[engine] = Door(self._kernel, engine.shut_out_clients)
        return self._doors.get(engine)

    def watchdog(self, engine: Engine) -> Watchdog | None:
        """The one of an engine's guard, where this host has such a layer."""
        if WATCHDOG in self._layers and engine not in self._watchdogs:
            self._watchdogs[engine] = Watchdog(self._kernel, self._reset)
        return self._watchdogs.get(engine)

    def holds(self, engine: Engine) -> bool:
        """Whether the promise is kept though the guard and its agent stand still."""
        doored = engine in self._doors and not engine.local_clients
        watched = engine in self._watchdogs and self._watchdogs[engine].runs
        return engine not in self._late and (doored or watched)

    def stand_still(self) -> None:
        """The kernel stands still, and with it all that it counts."""
        self._late = {*self._doors, *self._watchdogs}
        for timer in self._timers():
            timer.stand_still()

    def go_on(self) -> None:
        for timer in self._timers():
            timer.go_on()

    def looked_at(self, engine: Engine) -> None:
        """Its guard has seen that the kernel stood still, if a clock shows it."""
        self._late.discard(engine)

    def end(self) -> None:
        """The host is down."""
        for timer in self._timers():
            timer.clear()
        for engine in self._doors:
            engine.shut_out_clients(False)
        self._doors, self._watchdogs, self._late = {}, {}, set()

    def _timers(self) -> list[Timer]:
        doors = [door.timer for door in self._doors.values()]
        return [*doors, *(watchdog.timer for watchdog in self._watchdogs.values())]
