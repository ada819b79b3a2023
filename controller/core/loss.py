"""How much a failover would lose: the last word of the primary, what it may have added, minus
what the backup has.

The last position that was heard is never taken as final: the primary may have gone on
committing at its rate until the last lease that anybody may have granted it has run out. A
controller or a backup that restarted counts as having granted at its start.

In sync mode whatever was acknowledged had reached the backup, so that nothing is lost. Unless it
has less than it had, for its disk was put back to an older state: then what it had at the very end
is not known, and the estimate is that of async mode.
"""

from __future__ import annotations

from msgspec.structs import replace

from controller.core.model import LastWord, Phase, Protection, ServiceState
from protocol.messages import ReplicaReport, Role

SILENT_PHASES = (Phase.COUNTDOWN, Phase.HELD)
"""The primary may be writing unheard until its lease ends: the figure is that of the end, as it
was stored when the phase began, so that it stays the same while an operator thinks about it."""


def last_word(service: ServiceState, now_ms: int) -> LastWord | None:
    """The highest position that anybody heard of the primary; None when nobody heard any."""
    words = [w for w in (_own_word(service), _reported_word(service), _backup_word(service)) if w]
    if not words:
        return service.record.last_word
    position, rate, heard_ms = max(words)
    stored = service.record.last_word
    silent = service.record.phase in SILENT_PHASES
    if silent and stored and stored.position_bytes >= position:
        return stored
    end_ms = _promises_end_ms(service)
    return LastWord(position, rate, max(0, (end_ms if silent else min(end_ms, now_ms)) - heard_ms))


def worst_word(service: ServiceState, now_ms: int) -> LastWord | None:
    """The last word as it counts once every lease has run out: this one is stored."""
    word = last_word(service, now_ms)
    if word is None:
        return None
    still_ms = max(0, _promises_end_ms(service) - now_ms)
    return replace(word, exposed_ms=word.exposed_ms + still_ms)


def estimate_bytes(service: ServiceState, word: LastWord | None) -> int | None:
    """The loss if the backup took over now; None when it cannot be known."""
    if service.record.protection is Protection.SYNC and not _has_forgotten(service):
        return 0
    backup = service.reports.get(service.record.backup)
    if word is None or backup is None or not backup.report.position_bytes:
        return None
    end = word.position_bytes + word.rate_bytes_s * word.exposed_ms // 1000
    return max(0, max(end, proven_bytes(service)) - backup.report.position_bytes)


def proven_bytes(service: ServiceState) -> int:
    """How much of the log the sync backup is known to have had in this epoch."""
    wait = service.record.wait
    return max(service.backup_proven_bytes, wait.had_bytes if wait else 0)


def _has_forgotten(service: ServiceState) -> bool:
    """Whether a sync backup has less than it had. One that does not run shows nothing yet."""
    seen = service.reports.get(service.record.backup)
    if seen is None or seen.report.role is not Role.STANDBY:
        return False
    return seen.report.position_bytes < proven_bytes(service)


def lag_bytes(service: ServiceState) -> int | None:
    """How far the backup was behind the primary when it last reported.

    What the primary wrote after that report is no lag: else a busy service whose backup has
    everything would look further behind than one whose backup stands still.
    """
    backup = service.reports.get(service.record.backup)
    words = [w for w in (_own_word(service), _reported_word(service)) if w]
    if backup is None or not words:
        return None
    position, rate, heard_ms = max(words)
    since_ms = max(0, heard_ms - backup.at_ms)
    return max(0, position - rate * since_ms // 1000 - backup.report.position_bytes)


def _own_word(service: ServiceState) -> tuple[int, int, int] | None:
    if not service.proven_position_bytes:
        return None
    return service.proven_position_bytes, service.proven_rate_bytes_s, service.proven_ms


def _reported_word(service: ServiceState) -> tuple[int, int, int] | None:
    seen = service.reports.get(service.record.primary)
    if seen is None or not seen.report.writable:
        return None
    return seen.report.position_bytes, seen.report.rate_bytes_s, seen.at_ms


def _backup_word(service: ServiceState) -> tuple[int, int, int] | None:
    seen = service.reports.get(service.record.backup)
    if seen is None or not seen.report.primary_position_bytes:
        return None
    report: ReplicaReport = seen.report
    heard_ms = seen.at_ms - report.primary_position_age_ms
    return report.primary_position_bytes, report.primary_rate_bytes_s, heard_ms


def _promises_end_ms(service: ServiceState) -> int:
    return max(service.promise_end_ms, service.backup_promise_end_ms)
