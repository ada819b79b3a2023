"""I3: where commits wait for a lost backup, none is acknowledged that stands at one site only.

Looks at each acknowledgement at its moment, not at what is left after a takeover: that nobody is
promoted without the data is another promise, and here no data may be at one site in the first
place. From the first PROTECTED of a service that blocks, until what may end it: a takeover, an
announced maintenance, another configuration.
"""

from __future__ import annotations

from collections.abc import Callable

from controller.core.model import BackupLoss, Phase, Protection, Record, ServiceSpec
from simulator.parts.service import Service
from simulator.watch import Broken, Watch


class NothingAtOneSiteOnly(Watch):
    """Listens to the acknowledgements of every service."""

    def __init__(self, services: list[Service]) -> None:
        self._blocks = {s.name: _blocks(s.spec) for s in services}
        self._bound: dict[str, str] = {}
        """By service, whose copy must have what is acknowledged."""
        for service in services:
            service.history.listener = self._listener(service)

    def configured(self, now_ms: int, spec: ServiceSpec) -> None:
        self._blocks[spec.name] = _blocks(spec)
        if not _blocks(spec):
            self._bound.pop(spec.name, None)

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        if new.phase is Phase.PROTECTED and self._blocks[new.service]:
            if new.protection is Protection.SYNC:
                self._bound[new.service] = new.backup
            return
        began_anew = old is not None and new.epoch != old.epoch
        if began_anew or new.maintenance is not None or new.protection is Protection.ASYNC:
            self._bound.pop(new.service, None)

    def restored(self, now_ms: int, records: dict[str, Record]) -> None:
        self._bound.clear()

    def _listener(self, service: Service) -> Callable[[int, int], None]:
        def acknowledged(timeline: int, position: int) -> None:
            backup = self._bound.get(service.name)
            if backup is None or service.engines[backup].once_had(timeline, position):
                return
            raise Broken(
                "I3",
                f"{service.name} blocks, and a commit was acknowledged up to {position}, which "
                f"{backup} never had",
                service.name,
            )

        return acknowledged


def _blocks(spec: ServiceSpec) -> bool:
    return spec.protection is Protection.SYNC and spec.backup_loss is BackupLoss.BLOCK
