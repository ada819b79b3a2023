"""What the checkers are told, and how they say that a promise is broken."""

from __future__ import annotations

from collections.abc import Callable

from agents.core.events import Event as AgentEvent
from agents.core.model import Replica
from controller.core.actions import Answer
from controller.core.events import Event as ControllerEvent
from controller.core.model import Record, ServiceSpec, State, Transition
from controller.core.plan_model import Plan
from protocol.messages import Granted
from simulator.strike import Strike

Excused = Callable[[str, str], bool]
"""Whether a service's copy at an agent writes where no promise is made (`Host.excused`)."""


class Broken(Exception):
    """A promise does not hold. `rule` names it: I1, I2 and so on; `service` whose it was, where
    it was one service's."""

    def __init__(self, rule: str, text: str, service: str = "") -> None:
        super().__init__(f"{rule}: {text}")
        self.rule = rule
        self.service = service


class Watch:
    """A checker: sees all that happens, with true times in ms, and raises Broken."""

    def struck(self, now_ms: int, strike: Strike) -> None:
        """A fault happened, or an operator asked for something."""

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        """The store holds a new record."""

    def told(self, now_ms: int, change: Transition, old: Record, new: Record) -> None:
        """The history holds a new line."""

    def planned(self, now_ms: int, old: Plan | None, new: Plan) -> None:
        """The store holds a new plan, or another revision of one."""

    def restored(self, now_ms: int, records: dict[str, Record]) -> None:
        """The store is an older copy of itself."""

    def healed(self, now_ms: int) -> None:
        """All faults ended."""

    def configured(self, now_ms: int, spec: ServiceSpec) -> None:
        """The configuration declares a service otherwise."""

    def controller_stepped(self, state: State, event: ControllerEvent, at_ms: int) -> None:
        """The controller's rules took an event that is no Tick, at its own time."""

    def agent_stepped(self, replica: Replica, event: AgentEvent, at_ms: int) -> None:
        """An agent's rules took an event that is no Tick, at its own time."""

    def answered(self, now_ms: int, answer: Answer) -> None:
        """An operator got an answer."""

    def granted(self, now_ms: int, holder: str, granted: Granted, end_ms: int) -> None:
        """A grantor gave a lease, and honours it until `end_ms`."""

    def writes(self, now_ms: int, service: str, agent: str, epoch: int, lost_bytes: int) -> None:
        """An engine became writable in a reign; it lacks this many acknowledged bytes."""

    def writes_no_more(self, now_ms: int, service: str, agent: str) -> None:
        """An engine is not writable any more."""

    def goes_astray(self, now_ms: int, service: str, agent: str) -> None:
        """An engine takes writes where no promise is made that it does not."""

    def astray_no_more(self, now_ms: int, service: str, agent: str, lost_bytes: int) -> None:
        """It takes none, or is counted again; it had acknowledged what another copy lacks."""

    def fenced(self, now_ms: int, service: str, agent: str, reason: str) -> None:
        """A guard ends a writable engine."""

    def vetoed(self, now_ms: int, site: str, until_ms: int) -> None:
        """A host has taken a veto, kept until then at least; until 0 when it was released."""

    def took_log(self, now_ms: int, service: str, revision: int) -> None:
        """A backup has all of its fenced primary's log, under a revision."""


class All(Watch):
    """Tells every checker, in their order. Of what happens all the time, only those who listen."""

    def __init__(self, checkers: list[Watch]) -> None:
        self._checkers: list[Watch] = []
        self._see_controller: list[Callable[[State, ControllerEvent, int], None]] = []
        self._see_agent: list[Callable[[Replica, AgentEvent, int], None]] = []
        self._see_grant: list[Callable[[int, str, Granted, int], None]] = []
        for checker in checkers:
            self.add(checker)

    def add(self, checker: Watch) -> None:
        """One more, after the others."""
        self._checkers.append(checker)
        kind = type(checker)
        if kind.controller_stepped is not Watch.controller_stepped:
            self._see_controller.append(checker.controller_stepped)
        if kind.agent_stepped is not Watch.agent_stepped:
            self._see_agent.append(checker.agent_stepped)
        if kind.granted is not Watch.granted:
            self._see_grant.append(checker.granted)

    def struck(self, now_ms: int, strike: Strike) -> None:
        for checker in self._checkers:
            checker.struck(now_ms, strike)

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        for checker in self._checkers:
            checker.swapped(now_ms, old, new)

    def told(self, now_ms: int, change: Transition, old: Record, new: Record) -> None:
        for checker in self._checkers:
            checker.told(now_ms, change, old, new)

    def planned(self, now_ms: int, old: Plan | None, new: Plan) -> None:
        for checker in self._checkers:
            checker.planned(now_ms, old, new)

    def restored(self, now_ms: int, records: dict[str, Record]) -> None:
        for checker in self._checkers:
            checker.restored(now_ms, records)

    def configured(self, now_ms: int, spec: ServiceSpec) -> None:
        for checker in self._checkers:
            checker.configured(now_ms, spec)

    def healed(self, now_ms: int) -> None:
        for checker in self._checkers:
            checker.healed(now_ms)

    def controller_stepped(self, state: State, event: ControllerEvent, at_ms: int) -> None:
        for see in self._see_controller:
            see(state, event, at_ms)

    def agent_stepped(self, replica: Replica, event: AgentEvent, at_ms: int) -> None:
        for see in self._see_agent:
            see(replica, event, at_ms)

    def answered(self, now_ms: int, answer: Answer) -> None:
        for checker in self._checkers:
            checker.answered(now_ms, answer)

    def granted(self, now_ms: int, holder: str, granted: Granted, end_ms: int) -> None:
        for see in self._see_grant:
            see(now_ms, holder, granted, end_ms)

    def writes(self, now_ms: int, service: str, agent: str, epoch: int, lost_bytes: int) -> None:
        for checker in self._checkers:
            checker.writes(now_ms, service, agent, epoch, lost_bytes)

    def writes_no_more(self, now_ms: int, service: str, agent: str) -> None:
        for checker in self._checkers:
            checker.writes_no_more(now_ms, service, agent)

    def goes_astray(self, now_ms: int, service: str, agent: str) -> None:
        for checker in self._checkers:
            checker.goes_astray(now_ms, service, agent)

    def astray_no_more(self, now_ms: int, service: str, agent: str, lost_bytes: int) -> None:
        for checker in self._checkers:
            checker.astray_no_more(now_ms, service, agent, lost_bytes)

    def fenced(self, now_ms: int, service: str, agent: str, reason: str) -> None:
        for checker in self._checkers:
            checker.fenced(now_ms, service, agent, reason)

    def vetoed(self, now_ms: int, site: str, until_ms: int) -> None:
        for checker in self._checkers:
            checker.vetoed(now_ms, site, until_ms)

    def took_log(self, now_ms: int, service: str, revision: int) -> None:
        for checker in self._checkers:
            checker.took_log(now_ms, service, revision)
