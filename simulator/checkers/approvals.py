"""Leave to lose data is used once, while it is fresh, and by as many people as it takes."""

from __future__ import annotations

from controller.core.model import Phase, Protection, Record, ServiceSpec, Transition
from simulator.setting import ServiceSetting
from simulator.watch import Broken, Watch

FRESH_MS = 10 * 60 * 1000
BLUR_MS = 10_000
"""The controller's clock is up to 1 % wrong, and it may stand still."""
TIERS_OF_TWO = ("strategis",)


class LeaveGiven(Watch):
    """Keeps a list of its own of who accepted what, from the history alone."""

    def __init__(self, services: tuple[ServiceSetting, ...]) -> None:
        self._bounds_bytes = {s.name: s.loss_bound_bytes for s in services}
        self._tiers = {s.name: s.tier for s in services}
        self._given: dict[str, dict[str, int]] = {}
        """Who accepted a loss of a service, and when, since its last promotion."""

    def configured(self, now_ms: int, spec: ServiceSpec) -> None:
        self._bounds_bytes[spec.name] = spec.loss_bound_bytes

    def restored(self, now_ms: int, records: dict[str, Record]) -> None:
        self._given.clear()

    def told(self, now_ms: int, change: Transition, old: Record, new: Record) -> None:
        given = self._given.setdefault(new.service, {})
        if change.by and new.approval is not None and new.approval != old.approval:
            given[change.by] = now_ms
        if old.phase is Phase.COUNTDOWN and new.phase is Phase.PROMOTING:
            sync = old.protection is Protection.SYNC
            bound_bytes = 0 if sync else self._bounds_bytes[new.service]
            if change.loss_bytes > bound_bytes:
                self._judge(now_ms, change, given)
            given.clear()

    def _judge(self, now_ms: int, change: Transition, given: dict[str, int]) -> None:
        fresh = [by for by, at_ms in given.items() if now_ms - at_ms <= FRESH_MS + BLUR_MS]
        needed = 2 if self._tiers[change.service] in TIERS_OF_TWO else 1
        if len(fresh) < needed:
            raise Broken(
                "approval",
                f"{change.service}: a loss of {change.loss_bytes} bytes was accepted by "
                f"{len(fresh)} of {needed} people, and a promotion came of it",
            )
