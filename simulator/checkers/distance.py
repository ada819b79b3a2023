"""A pair is armed, or moved on purpose, only while its backup is near its primary."""

from __future__ import annotations

from controller.core.model import Phase, Record, ServiceSpec
from controller.core.moment.view import FOLLOW_CLOSELY_BYTES
from simulator.parts.service import Service
from simulator.strike import Strike
from simulator.watch import Broken, Watch

BLUR_MS = 5000
"""What the rules know of a position is this old at most, with the oldest report they believe."""


def near_bytes(declared: ServiceSpec) -> int:
    """How far behind a backup may be that is trusted with its service."""
    return max(FOLLOW_CLOSELY_BYTES, declared.loss_bound_bytes // 2)


def lag_bytes(service: Service, record: Record) -> int:
    """What the backup truly lacks of its primary's log."""
    primary, backup = service.engines[record.primary], service.engines[record.backup]
    return max(0, primary.position - backup.position)


class BackupNear(Watch):
    """Compares the true positions when the store says that a backup follows closely."""

    def __init__(self, services: list[Service]) -> None:
        self._services = {service.uid: service for service in services}
        self._declared = {service.uid: service.spec for service in services}
        self._put_back_ms: dict[tuple[str, str], int] = {}
        """By copy: when its volume came, or will come, back as it was before."""

    def struck(self, now_ms: int, strike: Strike) -> None:
        if strike.verb == "put-back":
            self._put_back_ms[(strike.on[0], strike.on[1])] = strike.until_ms

    def configured(self, now_ms: int, spec: ServiceSpec) -> None:
        self._declared[spec.uid] = spec

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        relied = new.phase in (Phase.ARMING, Phase.DRAINING)
        if old is None or not relied or new.phase is old.phase:
            return
        if old.phase not in (Phase.ALONE, Phase.PROTECTED):
            return
        service = self._services[new.service_uid]
        blur_bytes = service.rate_bytes_s * BLUR_MS // 1000
        put_back_ms = self._put_back_ms.get((new.backup, service.name), -BLUR_MS)
        if 0 <= now_ms - put_back_ms < BLUR_MS:
            # What it told was true then; armed it is only when it says so again.
            return
        lag, near = lag_bytes(service, new), near_bytes(self._declared[new.service_uid])
        if lag > near + blur_bytes:
            raise Broken(
                "distance",
                f"{new.service}: {new.backup} is {lag} bytes behind as {new.phase.value} begins, "
                f"{near} are near",
                new.service,
            )
