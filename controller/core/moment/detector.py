"""Whether the backup follows, with patience in both directions; what it was seen to have; since
when there is a fence.

One bad report does not make a backup lost and one good report does not make it trusted:
the table of phases looks at since when it has been so. Missing reports count against it.
"""

from __future__ import annotations

from msgspec.structs import replace

from controller.core.model import LEASED_PHASES, Protection
from controller.core.moment.loss import marked
from controller.core.moment.view import View, cannot_take_over
from protocol.messages import Role


def watched(view: View) -> View:
    """The view, with what was to be noted of the backup and of a fence by now."""
    service = marked(view.service)
    ailing_ms = -1 if _streams(view) else _since(service.ailing_since_ms, view.now_ms)
    close = view.follows_closely(view.backup)
    following_ms = _since(service.following_since_ms, view.now_ms) if close else -1
    fenced_ms = service.fenced_since_ms
    if view.primary_now is not None and view.primary_now.fenced:
        # It stays so for this revision: a promise.
        fenced_ms = _since(fenced_ms, view.now_ms)
    proven_bytes = max(service.backup_proven_bytes, _proven_bytes(view))
    known = (
        service.ailing_since_ms,
        service.following_since_ms,
        service.fenced_since_ms,
        service.backup_proven_bytes,
    )
    same = (ailing_ms, following_ms, fenced_ms, proven_bytes) == known
    if same and service is view.service:
        return view
    noted = replace(
        service,
        ailing_since_ms=ailing_ms,
        following_since_ms=following_ms,
        fenced_since_ms=fenced_ms,
        backup_proven_bytes=proven_bytes,
    )
    return View(noted, view.now_ms, view.request, view.others)


def _streams(view: View) -> bool:
    backup = view.backup
    if backup is None or backup.role is not Role.STANDBY:
        return False
    return backup.streaming and not cannot_take_over(backup)


def _proven_bytes(view: View) -> int:
    """What a sync backup has of this reign's log. One that was not armed may have another log."""
    backup, record = view.backup, view.record
    if record.protection is not Protection.SYNC or record.phase not in LEASED_PHASES:
        return 0
    counts = backup is not None and backup.epoch == record.epoch and _streams(view)
    return backup.position_bytes if backup is not None and counts else 0


def _since(already_ms: int, now_ms: int) -> int:
    return already_ms if already_ms >= 0 else now_ms
