"""Whether the backup follows, with patience in both directions; since when there is a fence.

One bad report does not make a backup lost and one good report does not make it trusted:
the table of phases looks at since when it has been so. Missing reports count against it.
"""

from __future__ import annotations

from msgspec.structs import replace

from controller.core.model import ServiceState
from controller.core.view import View
from protocol.messages import Role


def watch_backup(service: ServiceState, now_ms: int) -> ServiceState:
    """Note since when the backup is ailing, and since when it follows closely."""
    view = View(service, now_ms)
    backup = view.backup
    well = (
        backup is not None
        and backup.role is Role.STANDBY
        and backup.streaming
        and not backup.cannot_promise
    )
    ailing_ms = -1 if well else _since(service.ailing_since_ms, now_ms)
    close = view.follows_closely(backup)
    following_ms = _since(service.following_since_ms, now_ms) if close else -1
    if (ailing_ms, following_ms) == (service.ailing_since_ms, service.following_since_ms):
        return service
    return replace(service, ailing_since_ms=ailing_ms, following_since_ms=following_ms)


def watch_fence(service: ServiceState, now_ms: int) -> ServiceState:
    """Note when the primary was first seen fenced. It stays so for this revision: a promise."""
    primary = View(service, now_ms).primary_now
    if service.fenced_since_ms >= 0 or primary is None or not primary.fenced:
        return service
    return replace(service, fenced_since_ms=now_ms)


def _since(already_ms: int, now_ms: int) -> int:
    return already_ms if already_ms >= 0 else now_ms
