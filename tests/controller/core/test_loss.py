"""How far a backup is behind, and how much a failover would lose."""

from __future__ import annotations

from msgspec.structs import replace

from controller.core.events import Event
from controller.core.model import LastWord, Phase, Seen, ServiceState, State, Word
from controller.core.moment import loss
from controller.core.moment.view import View
from controller.core.step import step
from protocol.messages import ReplicaReport
from protocol.windows import grantor_window_ms
from tests.controller.core.given import (
    NOW,
    UID,
    A,
    B,
    Given,
    asked,
    backup_report,
    primary_report,
    said,
)

MB = 1000 * 1000


def told(*events: tuple[int, Event]) -> ServiceState:
    """The service once all of this was heard, each at so many milliseconds from now."""
    state = State(1, "g", {UID: Given(Phase.ALONE).service})
    for at_ms, event in events:
        state, _actions = step(state, event, NOW + at_ms)
    return state.services[UID]


def proof(at_ms: int, position_bytes: int, rate_bytes_s: int) -> tuple[int, Event]:
    return at_ms, asked(A, position_bytes=position_bytes, rate_bytes_s=rate_bytes_s)


def backup_at(at_ms: int, position_bytes: int) -> tuple[int, Event]:
    return at_ms, said(B, backup_report(position_bytes=position_bytes))


def busy(start_bytes: int, backup_bytes: int) -> ServiceState:
    """The primary wrote 10 MB a second, and the backup told where it stood in between."""
    proofs = [proof(at_ms, start_bytes + at_ms * MB // 100, 10 * MB) for at_ms in (0, 400, 800)]
    return told(*proofs, backup_at(900, backup_bytes), proof(1200, start_bytes + 12 * MB, 10 * MB))


def test_what_was_written_after_the_backup_looked_is_no_lag() -> None:
    """A busy service whose backup has everything is not behind, though it looked a little ago."""
    assert loss.lag_bytes(busy(100 * MB, 106 * MB)) == 0


def test_what_was_missing_when_the_backup_looked_is_lag() -> None:
    """As it was for certain at that moment."""
    assert loss.lag_bytes(busy(100 * MB, 100 * MB)) == 4 * MB


def test_a_backup_far_behind_is_not_hidden_by_the_rate_of_a_burst() -> None:
    """The rate is the highest of many: 50 MB a second times 0.9 s would be all that is missing."""
    before = [proof(at_ms, 999 * MB, 50 * MB) for at_ms in (-1700, -1300, -950)]
    service = told(*before, backup_at(-900, 955 * MB), proof(0, 1000 * MB, 50 * MB))
    view = View(service, NOW)
    assert loss.lag_bytes(service) == 44 * MB
    assert not view.follows_closely(view.backup)


def test_before_anything_was_heard_the_lag_is_not_known() -> None:
    """Nor for a word that is newer than what the backup tells."""
    assert loss.lag_bytes(told(backup_at(0, 5000))) is None
    assert loss.lag_bytes(told(proof(0, 5000, 0), backup_at(300, 5000))) is None
    assert loss.lag_bytes(told(proof(0, 5000, 0), backup_at(500, 5000))) == 0


def test_words_that_come_often_reach_back_far_enough() -> None:
    """And are bounded."""
    often = [proof(at_ms, 5000 + at_ms, 0) for at_ms in range(0, 3000, 10)]
    service = told(*often, backup_at(3000, 5000))
    assert len(service.heard_positions) == loss.WORDS_KEPT
    assert loss.lag_bytes(service) == 2600


def test_words_of_another_reign_are_forgotten() -> None:
    """For the new primary may have less than the old one told."""
    old = Given(Phase.COUNTDOWN).stopped().seen(heard_positions=(Word(9000, NOW),))
    gone = backup_report(stopped=True, promise_left_ms=0, primary_heard=False, streaming=False)
    state, _actions = step(old.state(), said(B, gone), NOW)
    assert state.services[UID].record.phase is Phase.PROMOTING
    assert state.services[UID].heard_positions == ()


def silent(word: LastWord, report: ReplicaReport, heard_ms: int) -> LastWord | None:
    """What counts as the last word in a countdown that began with `word`, once a Report came."""
    service = replace(Given(Phase.COUNTDOWN, last_word=word).service, proven_position_bytes=0)
    service = replace(service, promise_end_ms=NOW + 3000, reports={A: Seen(report, heard_ms)})
    return loss.last_word(service, NOW + 2000)


def test_an_agent_that_knows_no_rate_yet_does_not_make_a_busy_primary_a_still_one() -> None:
    state = told(proof(0, 10 * MB, 10 * MB), (300, said(A, primary_report(position_bytes=12 * MB))))
    word = loss.last_word(state, NOW + 500)
    assert word is not None
    assert (word.position_bytes, word.rate_bytes_s) == (12 * MB, 10 * MB)


def test_a_report_that_was_long_under_way_takes_nothing_back_of_what_was_feared() -> None:
    feared = LastWord(10 * MB, 10 * MB, 3000, 0)
    late = primary_report(position_bytes=11 * MB, rate_bytes_s=10 * MB)
    assert silent(feared, late, NOW + 1500) == feared


def test_a_report_that_tells_of_more_than_was_feared_counts() -> None:
    further = primary_report(position_bytes=50 * MB, rate_bytes_s=10 * MB)
    word = silent(LastWord(10 * MB, 10 * MB, 3000, 0), further, NOW + 1500)
    assert word is not None
    assert word.position_bytes == 50 * MB


def test_a_backup_that_heard_a_commit_may_have_granted_a_lease_then() -> None:
    """Cut off meanwhile, it tells of none when it is heard again, and of the commit."""
    service = Given(Phase.COUNTDOWN).service
    service = replace(service, promise_end_ms=NOW - 5000, backup_promise_end_ms=NOW - 5000)
    heard = backup_report(
        primary_position_bytes=6000, primary_rate_bytes_s=1000, primary_position_age_ms=3000
    )
    word = loss.last_word(replace(service, reports={B: Seen(heard, NOW)}), NOW)
    assert word is not None
    assert word.exposed_ms == grantor_window_ms(service.record.terms.ttl_ms)
