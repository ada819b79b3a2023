"""I9: the same message or step once more, in the same state at the same time, changes nothing."""

from __future__ import annotations

from agents.core import events as agent_events
from agents.core import step as agent_rules
from agents.core.model import Replica
from controller.core import actions as act
from controller.core import events as ev
from controller.core import step as controller_rules
from controller.core.model import HeldFor, ServiceState, State
from simulator.watch import Broken

MESSAGES = (
    agent_events.Tick, agent_events.OrderCame, agent_events.GrantCame, agent_events.AskCame,
    agent_events.Observed,
)  # fmt: skip
EVERY = 16
"""One of so many steps is done again."""


class Replays:
    """Does some of the steps once more."""

    def __init__(self) -> None:
        self._count = 0

    def _due(self) -> bool:
        self._count = (self._count + 1) % EVERY
        return not self._count

    def of_controller(self, state: State, event: ev.Event, now_ms: int) -> None:
        """`state` is what the event left. What an operator asks for twice is asked twice."""
        if isinstance(event, ev.Requested) or not self._due():
            return
        again, actions = controller_rules.step(state, event, now_ms)
        swaps = [action for action in actions if isinstance(action, act.Swap)]
        before = {uid: _of_service(service) for uid, service in state.services.items()}
        after = {uid: _of_service(service) for uid, service in again.services.items()}
        if swaps or before != after:
            raise Broken("I9", f"the controller heard {event} twice: {swaps}, {before} -> {after}")

    def of_agent(self, replica: Replica, event: agent_events.Event, now_ms: int) -> None:
        """`replica` is what the event left. What its own host tells comes once."""
        if not isinstance(event, MESSAGES) or not self._due():
            return
        # What the next step does by itself, a doubled message may do as well.
        alone, _ = agent_rules.step(replica, agent_events.Tick(), now_ms)
        again, _ = agent_rules.step(replica, event, now_ms)
        if _of_replica(alone) != _of_replica(again):
            raise Broken(
                "I9",
                f"{replica.service} on {replica.agent} heard {event} twice: "
                f"{_of_replica(alone)} -> {_of_replica(again)}",
            )


def _of_service(service: ServiceState) -> tuple[object, ...]:
    """What a doubled message must not change."""
    record = service.record
    # Once it is held for it, how far behind the store is matters no more.
    held_for_it = record.held_for is HeldFor.RESTORED
    return (
        record, service.promise_end_ms, service.backup_promise_end_ms, service.proven_ms,
        service.proven_position_bytes, held_for_it or service.heard_revision > record.revision,
        service.entered_ms,
    )  # fmt: skip


def _of_replica(replica: Replica) -> tuple[object, ...]:
    return (
        replica.durable, replica.permit, replica.permit_end_ms, replica.leases, replica.fresh,
        replica.promise_end_ms, replica.heard_ms, replica.job, replica.start_count,
    )  # fmt: skip
