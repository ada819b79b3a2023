"""Nobody becomes primary, nor is promoted, who lacks a layer of the fence that it requires."""

from __future__ import annotations

from agents.core.events import Event, GuardState
from agents.core.model import Permit, Replica
from controller.core.model import Phase, Record
from simulator.strike import Strike
from simulator.watch import Broken, Watch

LACKS = "unfence"
TOLD_MS = 10_000
"""After so long the controller, if it hears that agent at all, has heard of it."""


class WholeFence(Watch):
    """Watches the permits of agents, and whom the controller counts on."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], Replica] = {}
        self._lacking: dict[tuple[str, str], tuple[int, int]] = {}

    def struck(self, now_ms: int, strike: Strike) -> None:
        if strike.verb == LACKS:
            site, service = strike.on
            self._lacking[service, site] = (now_ms, strike.until_ms)

    def healed(self, now_ms: int) -> None:
        self._lacking.clear()

    def agent_stepped(self, replica: Replica, event: Event, at_ms: int) -> None:
        key = (replica.service, replica.agent)
        last, self._last[key] = self._last.get(key), replica
        if last is None or last.life != replica.life or isinstance(event, GuardState):
            # What a guard still allows was given before.
            return
        opened = last.permit is Permit.CLOSED and replica.permit is not Permit.CLOSED
        if opened and last.fence_lacks and replica.fence_lacks:
            raise Broken(
                "layers",
                f"{replica.service}: {replica.agent} may write, and lacks {replica.fence_lacks}",
                replica.service,
            )

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        if new.phase is not Phase.PROMOTING or (old and old.phase is Phase.PROMOTING):
            return
        begun_ms, until_ms = self._lacking.get((new.service, new.primary), (0, 0))
        if begun_ms + TOLD_MS <= now_ms < until_ms:
            raise Broken(
                "layers",
                f"{new.service}: {new.primary} is promoted, and cannot be primary without the "
                f"fence that it requires",
                new.service,
            )
