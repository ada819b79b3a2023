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

from controller.core.model import (
    HeldFor,
    LastWord,
    Mark,
    Phase,
    Protection,
    Record,
    ServiceState,
    Word,
)
from protocol.messages import Mode, ReplicaReport, Role
from protocol.windows import grantor_window_ms

MARK_EVERY_MS = 200
MARKS_A_SPAN = 8
MARKS_AT_MOST = 32
SILENT_PHASES = (Phase.COUNTDOWN, Phase.HELD)
"""The primary may be writing unheard until its lease ends: the figure is that of the end, as it
was stored when the phase began, so that it stays the same while an operator thinks about it."""

REPORTED_WITHIN_MS = 400
"""How old a position may be when its report arrives: an agent looks every 250 ms."""
WORDS_APART_MS = 100
WORDS_KEPT = 8
"""Together they reach further back than a report is old."""


def last_word(service: ServiceState, now_ms: int) -> LastWord | None:
    """The highest position that anybody heard of the primary; None when nobody heard any."""
    words = [w for w in (_own_word(service), _reported_word(service), _backup_word(service)) if w]
    if not words:
        return service.record.last_word
    position, rate, heard_ms = max(words)
    # A primary whose agent has just restarted tells where it is, and no rate yet: that is not none.
    rate = rate or max(rate for _position, rate, _heard_ms in words)
    stored = service.record.last_word
    no_deadline = _no_deadline(service.record)
    silent = service.record.phase in SILENT_PHASES and not no_deadline
    end_ms = now_ms if no_deadline else _promises_end_ms(service)
    exposed_ms = max(0, (end_ms if silent else min(end_ms, now_ms)) - heard_ms)
    caught_up_ms = service.caught_up_ms
    behind_ms = max(0, heard_ms - caught_up_ms) if caught_up_ms >= 0 else -1
    word = LastWord(position, rate, exposed_ms, behind_ms)
    return stored if silent and stored and not _goes_beyond(word, stored) else word


def _goes_beyond(word: LastWord, stored: LastWord) -> bool:
    """Whether there is more to be feared. A Report that was long under way looks fresh, so a
    position alone that is further takes nothing back."""
    further = word.position_bytes > stored.position_bytes
    return further and _end_bytes(word) > _end_bytes(stored)


def worst_word(service: ServiceState, now_ms: int) -> LastWord | None:
    """The last word as it counts once every lease has run out: this one is stored."""
    word = last_word(service, now_ms)
    if word is None:
        return None
    still_ms = max(0, _promises_end_ms(service) - now_ms)
    return replace(word, exposed_ms=word.exposed_ms + still_ms)


def estimate_bytes(service: ServiceState, word: LastWord | None) -> int | None:
    """The loss if the backup took over now; None when it cannot be known."""
    record = service.record
    waited = record.blocks or not _no_deadline(record)
    if record.protection is Protection.SYNC and waited and not _has_forgotten(service):
        return 0
    backup = service.reports.get(record.backup)
    if word is None or backup is None or not backup.report.position_bytes:
        return None
    if not waited and service.caught_up_ms < 0:
        # A copy that was not seen to follow in this reign may hold another history.
        return None
    return max(0, max(_end_bytes(word), proven_bytes(service)) - backup.report.position_bytes)


def _end_bytes(word: LastWord) -> int:
    """How far the primary may have come."""
    return word.position_bytes + word.rate_bytes_s * word.exposed_ms // 1000


def proven_bytes(service: ServiceState) -> int:
    """How much of the log the sync backup is known to have had in this epoch."""
    record = service.record
    waited_bytes = record.wait.had_bytes if record.wait else 0
    return max(service.backup_proven_bytes, record.backup_had_bytes, waited_bytes)


def had_bytes(service: ServiceState, old: Record, new: Record) -> int:
    """What the record keeps of that, so that a controller that restarts does not take an older
    copy for a whole one. When a pair becomes PROTECTED its backup has all that was acknowledged."""
    same_reign = (new.epoch, new.primary) == (old.epoch, old.primary)
    if new.protection is not Protection.SYNC or new.mode is not Mode.LEASED or not same_reign:
        return 0
    armed = old.phase is Phase.ARMING and new.phase is Phase.PROTECTED
    return max(proven_bytes(service), streamed_bytes(service) if armed else 0)


def streamed_bytes(service: ServiceState) -> int:
    """How far a backup is that streams this epoch's log; 0 when it does not."""
    seen = service.reports.get(service.record.backup)
    told = seen.report if seen else None
    if told is None or told.role is not Role.STANDBY or not told.streaming:
        return 0
    return told.position_bytes if told.epoch == service.record.epoch else 0


def _has_forgotten(service: ServiceState) -> bool:
    """Whether a sync backup has less than it had. One that does not run shows nothing yet."""
    seen = service.reports.get(service.record.backup)
    if seen is None or seen.report.role is not Role.STANDBY:
        return False
    return seen.report.position_bytes < proven_bytes(service)


def estimate_ms(service: ServiceState, word: LastWord | None) -> int | None:
    """The same loss as a time: from the last moment of which the backup has every commit to the
    last at which the primary may have committed. None when it cannot be known.

    It is measured, not divided: a rate is the highest of many, and would make a time too short.
    """
    lost_bytes = estimate_bytes(service, word)
    if lost_bytes == 0:
        return 0
    record = service.record
    waited = record.blocks or not _no_deadline(record)
    forgotten = record.protection is Protection.SYNC and waited
    if lost_bytes is None or word is None or word.behind_ms < 0 or forgotten:
        # When a backup had what it has no more says nothing about what it has.
        return None
    return word.behind_ms + word.exposed_ms


def marked(service: ServiceState) -> ServiceState:
    """Note where the primary stands, and which of its former positions the backup has reached."""
    words = [w for w in (_own_word(service), _reported_word(service)) if w]
    backup = service.reports.get(service.record.backup)
    follows = backup is not None and backup.report.role is Role.STANDBY
    if not words or backup is None or not follows or not backup.report.streaming:
        return service
    position, _rate, heard_ms = max(words)
    reached_bytes, marks = backup.report.position_bytes, service.marks
    passed = [mark.heard_ms for mark in marks if mark.position_bytes <= reached_bytes]
    if position <= reached_bytes:
        passed, marks = [*passed, heard_ms], ()
    elif passed:
        marks = tuple(mark for mark in marks if mark.position_bytes > reached_bytes)
    if position > reached_bytes and _far_enough(marks, position, heard_ms):
        marks = (*(marks if len(marks) < MARKS_AT_MOST else marks[::2]), Mark(position, heard_ms))
    caught_up_ms = max([service.caught_up_ms, *passed])
    if caught_up_ms == service.caught_up_ms and marks is service.marks:
        return service
    return replace(service, marks=marks, caught_up_ms=caught_up_ms)


def _far_enough(marks: tuple[Mark, ...], position: int, heard_ms: int) -> bool:
    """Whether another mark is worth while: the longer the backup is behind, the fewer."""
    if not marks:
        return True
    since_ms = heard_ms - marks[-1].heard_ms
    span_ms = heard_ms - marks[0].heard_ms
    further = position > marks[-1].position_bytes
    return further and since_ms >= max(MARK_EVERY_MS, span_ms // MARKS_A_SPAN)


def hear_position(service: ServiceState, position_bytes: int, now_ms: int) -> tuple[Word, ...]:
    """The last positions of the primary, each with when it was heard, and this one."""
    words = service.heard_positions
    if words and now_ms - words[-1].at_ms < WORDS_APART_MS:
        return words
    # Within one epoch nothing that was committed is taken back.
    at_least = max(position_bytes, words[-1].position_bytes if words else 0)
    return (*words[1 - WORDS_KEPT :], Word(at_least, now_ms))


def position_before(service: ServiceState, now_ms: int) -> int:
    """How far the primary was at the least when the backup looked at what it now reports; -1 when
    nothing that old was heard.

    What was heard later is left out, for the backup may have had it, too: else a busy service
    whose backup has everything would look further behind than one whose backup stands still.
    """
    looked_ms = now_ms - REPORTED_WITHIN_MS
    known = (w.position_bytes for w in reversed(service.heard_positions) if w.at_ms <= looked_ms)
    return next(known, -1)


def lag_bytes(service: ServiceState) -> int | None:
    """How far the backup was behind the primary, at the least, when it last reported.

    No rate is taken from it: that of a burst would hide what the backup misses.
    """
    backup = service.reports.get(service.record.backup)
    if backup is None or backup.primary_bytes < 0:
        return None
    return max(0, backup.primary_bytes - backup.report.position_bytes)


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


def _no_deadline(record: Record) -> bool:
    """Whether the primary may be writing, and may lose what it writes, for as long as it likes:
    it stands alone, and its commits wait for nobody."""
    return record.mode is Mode.ALONE or record.held_for is HeldFor.FORCED


def _promises_end_ms(service: ServiceState) -> int:
    """A backup that was cut off meanwhile tells of no promise any more, but when it last heard the
    primary commit: it may have granted at that moment."""
    heard = _backup_word(service)
    longest_ms = grantor_window_ms(service.record.terms.ttl_ms)
    granted_ms = heard[2] + longest_ms if heard else 0
    return max(service.promise_end_ms, service.backup_promise_end_ms, granted_ms)
