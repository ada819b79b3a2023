"""A local veto is kept: no host that took one comes to a new reign, or is moved away from."""

from __future__ import annotations

from agents.core.events import Event, VetoAsked
from agents.core.model import Replica
from controller.core.model import Phase, Record
from simulator.watch import Broken, Watch


class VetoKept(Watch):
    """Knows what each copy was when the veto was taken."""

    def __init__(self) -> None:
        self._until_ms: dict[str, int] = {}
        self._reigns: dict[tuple[str, str], int] = {}
        """The last reign that a copy had begun when it was asked."""

    def agent_stepped(self, replica: Replica, event: Event, at_ms: int) -> None:
        if isinstance(event, VetoAsked):
            self._reigns[replica.service, replica.agent] = replica.durable.reign_epoch

    def vetoed(self, now_ms: int, site: str, until_ms: int) -> None:
        self._until_ms[site] = until_ms

    def writes(self, now_ms: int, service: str, agent: str, epoch: int, lost_bytes: int) -> None:
        if now_ms < self._until_ms.get(agent, 0) and epoch > self._reigns[service, agent]:
            raise Broken("veto", f"{agent} became the primary of {service}, which it had forbidden")

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        moved = new.phase is Phase.PROMOTING and old and old.phase is Phase.DRAINING
        if moved and old and now_ms < self._until_ms.get(old.primary, 0):
            raise Broken("veto", f"{new.service} was moved from {old.primary}, which forbade it")
