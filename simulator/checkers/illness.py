"""A promotion is no cure: where commits fail everywhere and nothing else is wrong, none is done."""

from __future__ import annotations

from controller.core.model import Phase, Record
from simulator.strike import Strike
from simulator.watch import Broken, Watch

TRAVELS = "fail-commits-everywhere"


class NobodyPromotedForIllness(Watch):
    """Speaks only of worlds that nothing else has struck: there the cause is certain."""

    def __init__(self) -> None:
        self._ill_until_ms: dict[str, int] = {}
        self._certain = True

    def struck(self, now_ms: int, strike: Strike) -> None:
        if strike.verb == TRAVELS:
            self._ill_until_ms[strike.on[0]] = strike.until_ms
        else:
            self._certain = False

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        ill = now_ms < self._ill_until_ms.get(new.service, 0)
        if ill and self._certain and new.phase is Phase.PROMOTING:
            raise Broken("illness", f"{new.service}: {new.primary} is promoted, and is ill as well")
