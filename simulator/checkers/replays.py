"""I9: the same message once more changes nothing that is durable.

Every so often a step is taken again, at the same moment, once the rules came to rest after it.
A message may come twice, and a shell that died may do again what it did. What operators ask for
is left out: a request that comes twice is known by its key before the rules see it.
"""

from __future__ import annotations

from agents.core import events as agent_events
from agents.core import step as agent_rules
from agents.core.model import Replica
from controller.core import events as controller_events
from controller.core import step as controller_rules
from controller.core.model import Record, State
from simulator.watch import Broken, Watch

EVERY = 16
"""One of so many steps is taken again: all of them would double the time of a world."""


TICKS_AT_MOST = 4


class NothingTwice(Watch):
    """Takes steps again."""

    def __init__(self) -> None:
        self._steps = 0

    def controller_stepped(self, state: State, event: controller_events.Event, at_ms: int) -> None:
        if isinstance(event, controller_events.Requested) or not self._is_due():
            return
        rested, _ = controller_rules.step(state, controller_events.Tick(), at_ms)
        again, _ = controller_rules.step(rested, event, at_ms)
        if _records(again) != _records(rested):
            raise Broken("I9", f"{event} once more changed a record")
        for uid, service in rested.services.items():
            if again.services[uid].promise_end_ms > service.promise_end_ms:
                raise Broken("I9", f"{event} once more made a promise longer")

    def agent_stepped(self, replica: Replica, event: agent_events.Event, at_ms: int) -> None:
        if not self._is_due():
            return
        rested = _at_rest(replica, at_ms)
        again, _ = agent_rules.step(rested, event, at_ms)
        if again.durable != rested.durable:
            raise Broken("I9", f"{event} once more changed what {replica.agent} has on disk")

    def _is_due(self) -> bool:
        self._steps += 1
        return self._steps % EVERY == 0


def _at_rest(replica: Replica, at_ms: int) -> Replica:
    """What time alone leads to, step after step: a slow disk may have held up the step before, a
    lease has run out meanwhile, and what is closed in one step is promised in the next."""
    for _ in range(TICKS_AT_MOST):
        before = replica
        replica, _ = agent_rules.step(before, agent_events.Tick(), at_ms)
        if replica.durable == before.durable and replica.permit is before.permit:
            break
    return replica


def _records(state: State) -> list[Record]:
    return [service.record for service in state.services.values()]
