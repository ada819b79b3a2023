"""An integrity hold is kept: nobody is moved while it lasts, and it ends only by its time or by
somebody who releases it."""

from __future__ import annotations

from collections.abc import Callable

from controller.core.events import Event, Kind, Requested
from controller.core.model import Phase, Record, State
from simulator.watch import Broken, Watch

BEGINS = (Phase.DRAINING, Phase.COUNTDOWN, Phase.PROMOTING)


class HoldKept(Watch):
    """Counts the time of each hold by the true clock, from the moment when it is decided: a slow
    store may write it down much later."""

    def __init__(self, true_ms: Callable[[], int]) -> None:
        self._true_ms = true_ms
        self._decided_ms: dict[str, int] = {}
        """By uid: when the hold that is being written was decided."""
        self._until_ms: dict[str, int] = {}
        """By uid: before this the hold ends by nobody but an operator."""
        self._released: set[str] = set()

    def controller_stepped(self, state: State, event: Event, at_ms: int) -> None:
        if not isinstance(event, Requested) or event.dry_run:
            return
        if event.kind is Kind.RELEASE:
            self._released.add(event.service_uid)
        if event.kind is Kind.HOLD:
            self._decided_ms[event.service_uid] = self._true_ms()

    def restored(self, now_ms: int, records: dict[str, Record]) -> None:
        """An older copy may know nothing of a hold, or of its release."""
        self._until_ms = {uid: 0 for uid, record in records.items() if record.hold}

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        if old is None:
            return
        uid = new.service_uid
        if uid in self._until_ms and new.phase in BEGINS and new.phase is not old.phase:
            raise Broken("hold", f"{new.service} goes to {new.phase.value} under a hold")
        if new.hold is None:
            self._end(now_ms, new)
        elif old.hold is None or new.hold.spent_ms < old.hold.spent_ms:
            # The controller's clock runs up to 1 % fast.
            decided_ms = self._decided_ms.get(uid, now_ms)
            self._until_ms[uid] = decided_ms + new.hold.for_ms * 98 // 100
        self._released.discard(uid)

    def _end(self, now_ms: int, new: Record) -> None:
        until_ms = self._until_ms.pop(new.service_uid, 0)
        if now_ms < until_ms and new.service_uid not in self._released:
            early_ms = until_ms - now_ms
            raise Broken("hold", f"{new.service}: a hold ended {early_ms} ms early, by itself")
