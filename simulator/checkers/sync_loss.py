"""I3: a sync service loses no acknowledged write but what an operator approved, and a switchover
never loses any, nor a failover that begins before the primary of a switchover that was given up
had the time to commit.
"""

from __future__ import annotations

from agents.core.events import Event as AgentEvent
from agents.core.model import Replica
from controller.core.model import BY_ITSELF, HeldFor, Phase, Protection, Record
from protocol.windows import silence_ms
from simulator.checkers.loss_bound import approved_bytes
from simulator.watch import Broken, Watch

LONG_AGO_MS = 10**9
HASTY_PERCENT = 90
"""Of the time after which a primary is silent, whatever its clock."""


class NothingLost(Watch):
    """Looks at what a copy lacks when it becomes writable."""

    def __init__(self) -> None:
        self._sync: set[str] = set()
        """Services in whose record sync mode is in force."""
        self._planned: dict[str, bool] = {}
        self._forced: set[str] = set()
        """Services whose last primary stood alone, with commits that waited for nobody, and was
        replaced by force."""
        self._approved_bytes: dict[str, int] = {}
        self._given_up_ms: dict[str, int] = {}
        """When a drain was given up of late."""
        self._hasty: set[str] = set()
        self._hands_over: set[tuple[str, str]] = set()
        """Services and agents that said, since the last drain, that their engine is dead."""

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        if new.protection is Protection.SYNC:
            self._sync.add(new.service)
        else:
            self._sync.discard(new.service)
        if old is None or old.phase is new.phase:
            return
        if new.phase is Phase.PROMOTING:
            hasty = new.service in self._hasty
            self._planned[new.service] = old.phase is Phase.DRAINING or hasty
            self._approved_bytes[new.service] = approved_bytes(old)
            self._forced.discard(new.service)
        if new.phase is Phase.PROMOTING and old.held_for is HeldFor.FORCED:
            self._forced.add(new.service)
        if new.phase is Phase.DRAINING:
            self._hands_over.discard((new.service, new.primary))
        if new.phase in (Phase.PROTECTED, Phase.HELD):
            self._hasty.discard(new.service)
        self._judge_haste(now_ms, old, new)

    def _judge_haste(self, now_ms: int, old: Record, new: Record) -> None:
        """A failover straight after a drain was given up, though the primary gave nothing up."""
        if old.phase is Phase.DRAINING and new.phase is Phase.PROTECTED:
            self._given_up_ms[new.service] = now_ms
        if old.phase is Phase.PROTECTED and new.phase is Phase.COUNTDOWN:
            given_up_ms = self._given_up_ms.get(new.service, -LONG_AGO_MS)
            asked = new.operation is not None and new.operation.by != BY_ITSELF
            free = asked or (new.service, new.primary) in self._hands_over
            soon = now_ms - given_up_ms < silence_ms(new.terms) * HASTY_PERCENT // 100
            if soon and not free:
                self._hasty.add(new.service)

    def agent_stepped(self, replica: Replica, event: AgentEvent, at_ms: int) -> None:
        if replica.handover:
            self._hands_over.add((replica.service, replica.agent))

    def astray_no_more(self, now_ms: int, service: str, agent: str, lost_bytes: int) -> None:
        if lost_bytes and service in self._sync:
            text = f"sync {service}: {lost_bytes} bytes that {agent} took are lost"
            raise Broken("I3", text, service)

    def writes(self, now_ms: int, service: str, agent: str, epoch: int, lost_bytes: int) -> None:
        if not lost_bytes:
            return
        accepted_bytes = self._approved_bytes.get(service, 0)
        bound = service in self._sync and service not in self._forced
        if bound and lost_bytes > accepted_bytes:
            text = f"sync {service}: {agent} lacks {lost_bytes} acknowledged bytes"
            raise Broken("I3", text, service)
        if self._planned.get(service):
            text = f"{service}: a switchover to {agent} lost {lost_bytes} bytes"
            raise Broken("I3", text, service)
