"""I4: an async service loses no more than its bound, or than an operator approved; and nothing
when the backup had taken the whole log of its fenced primary."""

from __future__ import annotations

from controller.core.model import HeldFor, Phase, Protection, Record, ServiceSpec, Transition
from simulator.setting import ServiceSetting
from simulator.watch import Broken, Watch

BLUR_MS = 1000
"""A position is this much older than its message at most; the bound is an estimate."""


class LossBounded(Watch):
    """Compares what was lost with what was accepted when the promotion was decided."""

    def __init__(self, services: tuple[ServiceSetting, ...]) -> None:
        self._bounds_bytes = {s.name: s.loss_bound_bytes for s in services}
        self._blurs_bytes = {s.name: s.rate_bytes_s * BLUR_MS // 1000 for s in services}
        self._rates_bytes_s = {s.name: s.rate_bytes_s for s in services}
        self._times_ms: dict[str, int] = {}
        """The time whose commits an operator accepted to lose; -1 where none was named."""
        self._accepted_bytes: dict[str, int] = {}
        """Of the services whose last promotion was one in async mode."""
        self._taken: dict[str, int] = {}
        self._whole: set[tuple[str, int]] = set()
        """The reigns that began with the whole log of the one before."""
        self._astray: set[str] = set()
        """Services of which a copy went astray since the last promotion: it writes without end."""
        self._unbounded: set[tuple[str, int]] = set()
        """The reigns that lose what such a copy writes, whenever they are looked at again."""

    def goes_astray(self, now_ms: int, service: str, agent: str) -> None:
        self._astray.add(service)

    def configured(self, now_ms: int, spec: ServiceSpec) -> None:
        self._bounds_bytes[spec.name] = spec.loss_bound_bytes

    def took_log(self, now_ms: int, service: str, revision: int) -> None:
        self._taken[service] = revision

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        if old is None or new.phase is not Phase.PROMOTING:
            return
        self._accepted_bytes.pop(new.service, None)
        if new.protection is Protection.SYNC:
            return
        approved = approved_bytes(old)
        if self._taken.get(new.service) == old.revision:
            self._whole.add((new.service, new.epoch))
        self._accepted_bytes[new.service] = max(self._bounds_bytes[new.service], approved)
        self._times_ms[new.service] = old.approval.loss_ms if old.approval and approved else -1

    def told(self, now_ms: int, change: Transition, old: Record, new: Record) -> None:
        """By force, at least what was estimated is accepted; what nobody knows, is all of it."""
        if old.held_for is HeldFor.FORCED and new.phase is Phase.PROMOTING:
            bound = self._bounds_bytes[new.service]
            known = change.loss_bytes if change.loss_bytes >= 0 else 2**62
            self._accepted_bytes[new.service] = max(bound, known)
            self._times_ms[new.service] = -1

    def writes(self, now_ms: int, service: str, agent: str, epoch: int, lost_bytes: int) -> None:
        if service in self._astray:
            self._astray.discard(service)
            self._unbounded.add((service, epoch))
        unbounded = (service, epoch) in self._unbounded
        if unbounded or not lost_bytes or service not in self._accepted_bytes:
            return
        if (service, epoch) in self._whole:
            text = f"{service}: lost {lost_bytes} bytes, though it had the whole log"
            raise Broken("I4", text, service)
        accepted = self._accepted_bytes[service]
        if lost_bytes > accepted + self._blurs_bytes[service]:
            text = f"{service}: lost {lost_bytes} bytes, {accepted} were accepted"
            raise Broken("I4", text, service)
        lost_ms = lost_bytes * 1000 // self._rates_bytes_s[service]
        accepted_ms = self._times_ms.get(service, -1)
        beyond = lost_bytes > self._bounds_bytes[service] + self._blurs_bytes[service]
        if beyond and 0 <= accepted_ms < lost_ms - BLUR_MS:
            text = f"{service}: lost {lost_ms} ms of commits, accepted {accepted_ms}"
            raise Broken("I4", text, service)


def approved_bytes(record: Record) -> int:
    """An approval counts in the epoch that it names."""
    approval = record.approval
    return approval.loss_bytes if approval and approval.epoch == record.epoch else 0
