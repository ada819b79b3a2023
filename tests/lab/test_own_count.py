"""What clients count as lost with an old primary, against what its quarantine says."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.engines.base import Quarantined
from lab.base.records import Answer, Insert, Outcome, Probe
from lab.judging.own_count import OwnCount, compared, own_count_of_probes, own_count_of_writes

OLD, NEW = "jabodetabek", "batam"
ACKED, FAILED, UNKNOWN = Outcome.ACKED, Outcome.FAILED, Outcome.UNKNOWN


def insert(n: int, outcome: Outcome, site: str = OLD, start_ms: float = 100) -> Insert:
    return Insert(n, site, "198.18.0.1:5432", start_ms, start_ms + 1, outcome)


def probe(n: int, answer: Answer, sent: bool = True, site: str = OLD) -> Probe:
    return Probe("paspor", site, n, 100, 101, answer, sent=sent)


def quarantine(transactions: int | None) -> Quarantined:
    return Quarantined(path=Path("/kept/paspor"), transactions=transactions, bytes=1, text="")


def test_acknowledged_and_absent_rows_of_the_old_primary_count_and_no_others() -> None:
    lines = [
        insert(1, ACKED),
        insert(2, ACKED),
        insert(3, ACKED, site=NEW),
        insert(4, ACKED, start_ms=10),
        insert(5, FAILED),
        insert(6, UNKNOWN),
        insert(7, UNKNOWN),
    ]
    assert own_count_of_writes(lines, OLD, 50, [2, 7]) == OwnCount(acked=1, unanswered=1)


def test_a_probe_that_never_asked_for_a_commit_has_nothing_under_way() -> None:
    lines = [
        probe(1, Answer.COMMITTED),
        probe(2, Answer.UNKNOWN),
        probe(3, Answer.UNKNOWN, sent=False),
        probe(4, Answer.DOWN, sent=False),
        probe(5, Answer.COMMITTED, site=NEW),
    ]
    assert own_count_of_probes(lines, OLD, 50, []) == OwnCount(acked=1, unanswered=1)


@pytest.mark.parametrize("transactions", [12, 13, 14])
def test_a_quarantine_may_hold_what_was_never_answered(transactions: int) -> None:
    clients = {"writer inside": OwnCount(10, 1), "prober": OwnCount(2, 1)}
    kept = compared([quarantine(transactions)], OLD, clients)
    assert (kept.transactions, kept.own, kept.wrong) == (transactions, OwnCount(12, 2), "")


@pytest.mark.parametrize("transactions", [11, 15])
def test_a_quarantine_that_holds_less_or_more_is_told_with_every_count(transactions: int) -> None:
    clients = {"writer inside": OwnCount(10, 1), "prober": OwnCount(2, 1)}
    wrong = compared([quarantine(transactions)], OLD, clients).wrong
    assert f"quarantine of {OLD}: it holds {transactions} transactions" in wrong
    assert "writer inside: 10 acknowledged and 1 unanswered" in wrong
    assert "/kept/paspor" in wrong and "\n" not in wrong


def test_nothing_lost_needs_no_quarantine_and_something_lost_does() -> None:
    assert compared([], OLD, {"prober": OwnCount(0, 1)}).wrong == ""
    assert "quarantines: none" in compared([], OLD, {"prober": OwnCount(1, 0)}).wrong


def test_what_could_not_be_counted_is_not_equal() -> None:
    kept = compared([quarantine(None), quarantine(3)], OLD, {"prober": OwnCount(3, 0)})
    assert kept.transactions is None
    assert "an unknown number of transactions" in kept.wrong
