"""How much a failover would lose: the last word of the primary, what it may have added, minus
what the backup has.

The last position that was heard is never taken as final: the primary may have gone on
committing at its rate until its lease ended.
"""

from __future__ import annotations

from controller.core.model import LastWord, Protection, ServiceState
from protocol.messages import ReplicaReport


def last_word(service: ServiceState, now_ms: int) -> LastWord | None:
    """The highest position that anybody heard of the primary; None when nobody heard any."""
    words = [w for w in (_own_word(service), _reported_word(service), _backup_word(service)) if w]
    if not words:
        return service.record.last_word
    position, rate, heard_ms = max(words)
    exposed_ms = max(0, _promises_end_ms(service, now_ms) - heard_ms)
    word = LastWord(position, rate, exposed_ms)
    stored = service.record.last_word
    return stored if stored and stored.position_bytes > position else word


def estimate_bytes(service: ServiceState, word: LastWord | None) -> int | None:
    """The loss if the backup took over now; None when it cannot be known."""
    if service.spec.protection is Protection.SYNC:
        return 0
    backup = service.reports.get(service.record.backup)
    if word is None or backup is None or not backup.report.position_bytes:
        return None
    end = word.position_bytes + word.rate_bytes_s * word.exposed_ms // 1000
    return max(0, end - backup.report.position_bytes)


def lag_bytes(service: ServiceState) -> int | None:
    """How far the backup is behind the newest word of the primary."""
    backup = service.reports.get(service.record.backup)
    words = [w for w in (_own_word(service), _reported_word(service)) if w]
    if backup is None or not words:
        return None
    return max(0, max(words)[0] - backup.report.position_bytes)


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


def _promises_end_ms(service: ServiceState, now_ms: int) -> int:
    own_ms = service.promise_end_ms
    backup = service.reports.get(service.record.backup)
    if backup is None:
        return max(own_ms, now_ms)
    return max(own_ms, backup.at_ms + backup.report.promise_left_ms)
