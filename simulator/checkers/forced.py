"""A failover by force: by two people, with a proof, and after the last lease has run out."""

from __future__ import annotations

from controller.core.events import Event, Kind, Requested
from controller.core.model import HeldFor, Phase, Record, State, Transition
from protocol.messages import Granted
from simulator.watch import Broken, Watch

ROUNDING_MS = 2


class ForcedByTwo(Watch):
    """Knows who asked, who proved, and by a true clock when the promises of all ended."""

    def __init__(self) -> None:
        self._asked: dict[str, str] = {}
        """Who asked for the force that a service is held for."""
        self._ends_ms: dict[tuple[str, str], int] = {}
        self._proofs: dict[str, str] = {}
        """What was last stated of a service, by its uid."""

    def granted(self, now_ms: int, holder: str, granted: Granted, end_ms: int) -> None:
        key = (granted.service, holder)
        self._ends_ms[key] = max(end_ms, self._ends_ms.get(key, 0))

    def controller_stepped(self, state: State, event: Event, at_ms: int) -> None:
        if isinstance(event, Requested) and event.kind is Kind.PROVE:
            self._proofs[event.service_uid] = event.proof

    def told(self, now_ms: int, change: Transition, old: Record, new: Record) -> None:
        if new.held_for is HeldFor.FORCED and old.held_for is not HeldFor.FORCED:
            self._asked[new.service] = change.by
        if change.by and new.phase is Phase.PROMOTING is not old.phase:
            self._judge(now_ms, change, old)

    def _judge(self, now_ms: int, change: Transition, old: Record) -> None:
        """Whoever promotes by a request does it by force."""
        first = self._asked.pop(change.service, "")
        if old.held_for is not HeldFor.FORCED or change.by in ("", first):
            raise Broken("forced", f"{change.service}: {first} asked, {change.by} promoted it")
        if not self._proofs.get(change.service_uid):
            raise Broken("forced", f"{change.service}: nobody stated that {old.primary} is off")
        end_ms = self._ends_ms.get((change.service, old.primary), 0)
        if end_ms > now_ms + ROUNDING_MS:
            raise Broken(
                "forced",
                f"{change.service}: {change.to_phase}, though a lease of {old.primary} runs until "
                f"{end_ms / 1000:.3f} s",
            )
