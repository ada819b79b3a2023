"""A simulated guard: parent of one engine, and alone the holder of its deadline."""

from __future__ import annotations

from collections.abc import Callable

from agents.core.model import Permit
from protocol.messages import Role
from simulator.kernel import Kernel
from simulator.parts.clock import Clock
from simulator.parts.engine import Engine

STUCK_LOOK_MS = 50
"""How often it looks whether what it cannot kill is gone."""

Exited = Callable[[str], None]
Fenced = Callable[[str], None]


class Guard:
    """Lives beside the agent. Answers a request at once, except that an end takes time."""

    def __init__(
        self, kernel: Kernel, clock: Clock, engine: Engine, budget_ms: int, fenced: Fenced
    ) -> None:
        self._kernel = kernel
        self._clock = clock
        self._budget_ms = budget_ms
        self._fenced = fenced
        self.engine = engine
        self.permit = Permit.CLOSED
        self.deadline_ms = 0
        self.may_write = False
        """Whether the engine that runs was allowed to be writable."""
        self.alive = True
        self.exited: Exited | None = None
        """Who hears that the engine ended."""
        self._dying = ""
        self._ends: list[Callable[[], None]] = []

    def lease(self, deadline_ms: int) -> bool:
        """Writable until then; False when that is past."""
        if deadline_ms <= self._clock.read_ms(self._kernel.now_ms):
            return False
        if self.permit is Permit.LEASED:
            deadline_ms = max(deadline_ms, self.deadline_ms)
        self.permit, self.deadline_ms = Permit.LEASED, deadline_ms
        self._kernel.at(self._clock.true_ms(deadline_ms), self._keep_deadline)
        return True

    def alone(self) -> None:
        """Writable without an end."""
        self.permit, self.deadline_ms = Permit.ALONE, 0

    def close(self, done: Callable[[], None]) -> None:
        """Writable no more; done when no writable engine is left."""
        self.permit, self.deadline_ms = Permit.CLOSED, 0
        if not self.may_write:
            done()
            return
        self._ends.append(done)
        self._strike("closed")

    def refuses(self) -> bool:
        """Whether an engine may not become writable now."""
        late = self._clock.read_ms(self._kernel.now_ms) >= self.deadline_ms
        return self.permit is Permit.CLOSED or (self.permit is Permit.LEASED and late)

    def busy(self) -> bool:
        """Whether an engine is being ended."""
        return bool(self._dying)

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
        """The guard is killed; its engine goes with it, at once, so that what was closed is."""
        self.alive = False
        self.engine.stop(clean=False)
        ends, self._ends = self._ends, []
        for end in ends:
            end()

    def clock_changed(self) -> None:
        """The clock runs at another rate: the deadline comes at another moment."""
        if self.permit is Permit.LEASED:
            self._kernel.at(self._clock.true_ms(self.deadline_ms), self._keep_deadline)

    def thaw(self) -> None:
        """The host goes on: what fell due is done before the engine serves anybody."""
        self._keep_deadline(thawing=True)
        if self._dying:
            self._killed(thawing=True)

    def _keep_deadline(self, thawing: bool = False) -> None:
        if not self.alive or self.permit is not Permit.LEASED:
            return
        if self.engine.frozen and not thawing:
            return
        if self._clock.read_ms(self._kernel.now_ms) < self.deadline_ms:
            return
        self.permit = Permit.CLOSED
        if self.may_write:
            self._strike("deadline")

    def _strike(self, reason: str) -> None:
        if self._dying:
            return
        self._dying = reason
        if self.engine.writable:
            self._fenced(reason)
        self._kernel.after(self._kill_ms(), self._killed)

    def _kill_ms(self) -> int:
        """How long a kill takes: mostly little, but now and then all that the fence has for it."""
        if self._kernel.chance(0.6):
            return self._kernel.between(0, 30)
        most_ms = self._budget_ms * 99 // 100
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
        ends, self._ends = self._ends, []
        if self.exited:
            self.exited(reason)
        for end in ends:
            end()
