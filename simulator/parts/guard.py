"""A simulated guard: parent of one engine, and alone the holder of its deadline."""

from __future__ import annotations

from collections.abc import Callable

from agents.core.model import Permit
from protocol.messages import Role
from simulator.kernel import Kernel
from simulator.parts.clock import Clock
from simulator.parts.engine import Engine
from simulator.parts.fence import Door, Watchdog

STUCK_LOOK_MS = 50
"""How often it looks whether what it cannot kill is gone."""

Exited = Callable[[str], None]
Fenced = Callable[[str], None]

ROUNDING_MS = 2
REACTS_MOST_MS = 60
"""Who stood still with others does not run first: a guard looks at its clocks every 50 ms."""


class Guard:
    """Lives beside the agent. Answers at once, unless it stands still, but an end takes time."""

    def __init__(
        self,
        kernel: Kernel,
        clock: Clock,
        engine: Engine,
        budget_ms: int,
        fenced: Fenced,
        door: Door | None = None,
        watchdog: Watchdog | None = None,
        jumps: tuple[tuple[int, int], ...] = (),
    ) -> None:
        """`jumps`: what the agent saw of the clocks before this guard took another's place."""
        self._kernel = kernel
        self._clock = clock
        self.budget_ms = budget_ms
        self._fenced = fenced
        self._door = door
        self._watchdog = watchdog
        self.engine = engine
        self.permit = Permit.CLOSED
        self.deadline_ms = 0
        self.may_write = False
        """Whether the engine that runs was allowed to be writable."""
        self.alive = True
        self.exited: Exited | None = None
        """Who hears that the engine ended."""
        self.went_on: Callable[[], None] = lambda: None
        """Told that it stood still, and has looked at its clocks."""
        self.still_until_ms = 0
        self._pets = False
        self._slept = False
        """A clock shows at the next look that nobody ran for a while."""
        self._jumps = list(jumps)
        """When wall time was put forward by how much, on the clock of leases."""
        self._dying = ""
        self._ends: list[Callable[[], None]] = []
        if self._door:
            self._door.open()

    @property
    def still(self) -> bool:
        """Whether it stands still: it keeps no deadline and answers nothing."""
        return self._kernel.now_ms < self.still_until_ms

    def lease(self, deadline_ms: int, asked_ms: int) -> bool:
        """Writable until then; False when that is past. What stands outside is armed before."""
        deadline_ms -= sum(jump_ms for at_ms, jump_ms in self._jumps if at_ms >= asked_ms)
        if deadline_ms <= self._clock.read_ms(self._kernel.now_ms):
            return False
        if self.permit is Permit.LEASED:
            deadline_ms = max(deadline_ms, self.deadline_ms)
        if not self._dying:
            self._arm(deadline_ms)
        self.permit, self.deadline_ms = Permit.LEASED, deadline_ms
        self._kernel.at(self._clock.true_ms(deadline_ms), self._keep_deadline)
        return True

    def alone(self) -> None:
        """Writable without an end."""
        self.permit, self.deadline_ms = Permit.ALONE, 0
        if self._door:
            self._door.open()
        if self._watchdog and self._pets:
            self._watchdog.ease()

    def close(self, done: Callable[[], None]) -> None:
        """Writable no more; done when no writable engine is left."""
        self.permit, self.deadline_ms = Permit.CLOSED, 0
        if not self.may_write:
            self._open()
            done()
            return
        self._ends.append(done)
        self._strike("closed")

    def refuses(self) -> bool:
        """Whether an engine may not become writable now."""
        late = self._clock.read_ms(self._kernel.now_ms) >= self.deadline_ms
        return self.permit is Permit.CLOSED or (self.permit is Permit.LEASED and late)

    def busy(self) -> bool:
        """Whether an engine is being ended, or nothing is answered."""
        return bool(self._dying) or self.still

    def end_engine(self) -> None:
        """End whatever runs."""
        if self.engine.role is not Role.DOWN:
            self._strike("killed")

    def crash_engine(self) -> None:
        """The engine dies by itself."""
        if not self._dying:
            self._bury("crashed", clean=False)

    def stopped_in_order(self) -> None:
        """The engine ended because it was asked to."""
        if not self._dying:
            self._bury("exited", clean=True)

    def die(self) -> None:
        """The guard is killed; its engine goes with it, at once, so that what was closed is.

        What it armed outside stays as it is: nobody pets, and the door shuts at its time.
        """
        self.alive = False
        if self._watchdog and not self.still:
            self._watchdog.leave()
        self.engine.stop(clean=False)
        ends, self._ends = self._ends, []
        for end in ends:
            end()

    def clock_changed(self) -> None:
        """The clock runs at another rate, or stood still: the deadline comes at another moment."""
        if self.permit is Permit.LEASED:
            self._kernel.at(self._clock.true_ms(self.deadline_ms), self._keep_deadline)
            if not self.still:
                self._arm(self.deadline_ms)

    def stand_still(self, until_ms: int) -> None:
        """It is stopped, alone or with all others, and goes on a little later than they do."""
        if not self.still and self._watchdog:
            self._watchdog.leave()
        until_ms += self._kernel.between(1, REACTS_MOST_MS)
        self.still_until_ms = max(self.still_until_ms, until_ms)
        self._kernel.at(self.still_until_ms, self.go_on)

    def go_on(self) -> None:
        """It looks at its clocks, and keeps what fell due."""
        if not self.alive or self.still or not self.still_until_ms:
            return
        self.still_until_ms = 0
        slept, self._slept = self._slept, False
        self.went_on()
        if slept:
            self.void()
        if self._watchdog and self._pets:
            self._watchdog.pet()
        self._keep_deadline()

    def wake(self) -> None:
        """It stands still no more."""
        if self.still:
            self.still_until_ms = self._kernel.now_ms
            self.go_on()

    def is_over(self) -> bool:
        """Whether its lease is over by its clock, and nothing was done about it."""
        late = self._clock.read_ms(self._kernel.now_ms) >= self.deadline_ms
        return self.permit is Permit.LEASED and late

    def slept(self) -> None:
        """The host was suspended, which two of its clocks show together."""
        self._slept = True

    def void(self) -> None:
        """Nobody ran for a while, and a clock shows it: the lease is over."""
        if self.permit is Permit.LEASED:
            self.deadline_ms = min(self.deadline_ms, self._clock.read_ms(self._kernel.now_ms))
            self._keep_deadline()

    def jump(self, jump_ms: int) -> None:
        """Wall time was put forward by more than a step: the boot clock may have missed as much."""
        if self.still:
            self._kernel.at(self.still_until_ms, lambda: self.jump(jump_ms))
            return
        self._jumps.append((self._clock.read_ms(self._kernel.now_ms), jump_ms))
        if self.alive and self.permit is Permit.LEASED:
            self.deadline_ms -= jump_ms
            self.clock_changed()

    def die_of_the_strike(self) -> None:
        """Who was struck before all stood still runs no more when the others do."""
        if self._dying:
            self._killed(thawing=True)

    def _arm(self, deadline_ms: int) -> None:
        """What stands outside of the guard holds until the deadline, or the lease's end."""
        if self._door:
            self._door.arm(self._clock.true_ms(deadline_ms))
        if self._watchdog:
            end_ms = self._clock.true_ms(deadline_ms + self.budget_ms)
            self._pets = self._watchdog.arm(end_ms) or self._pets

    def _open(self) -> None:
        """Nothing that may write runs."""
        if self._door:
            self._door.open()
        if self._watchdog and self._pets:
            self._watchdog.off()
            self._pets = False

    def _keep_deadline(self) -> None:
        if not self.alive or self.permit is not Permit.LEASED:
            return
        late_ms = self._clock.read_ms(self._kernel.now_ms) - self.deadline_ms
        if late_ms < 0 or self.still:
            return
        self.permit = Permit.CLOSED
        if self.may_write:
            self._strike("deadline", late_ms)
        else:
            self._open()

    def _strike(self, reason: str, late_ms: int = 0) -> None:
        if self._dying:
            return
        self._dying = reason
        if self.may_write and self._door:
            self._door.close()
        if self.engine.writable:
            self._fenced(reason)
        self._kernel.after(self._kill_ms(late_ms if late_ms > ROUNDING_MS else 0), self._killed)

    def _kill_ms(self, late_ms: int) -> int:
        """How long a kill takes: mostly little, but now and then all that the fence has for it."""
        if self._kernel.chance(0.6):
            return self._kernel.between(0, 30)
        left_ms = self.budget_ms - late_ms
        most_ms = (left_ms if left_ms > 0 else self.budget_ms) * 99 // 100
        return most_ms if self._kernel.chance(0.5) else self._kernel.between(0, most_ms)

    def _killed(self, thawing: bool = False) -> None:
        if not self.alive or not self._dying or (self.engine.frozen and not thawing):
            return
        if self.engine.unkillable:
            if not self.engine.doomed:
                self._kernel.tell(self.engine.site, "the guard cannot end an engine, and goes on")
            self.engine.doom()
            self._kernel.after(STUCK_LOOK_MS, self._killed)
            return
        self._bury(self._dying, clean=False)

    def _bury(self, reason: str, clean: bool) -> None:
        self.engine.stop(clean)
        self.may_write, self._dying = False, ""
        if self.permit is Permit.CLOSED:
            self._open()
        elif self.permit is Permit.LEASED:
            self._arm(self.deadline_ms)
        ends, self._ends = self._ends, []
        if self.exited:
            self.exited(reason)
        for end in ends:
            end()
