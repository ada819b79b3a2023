"""The order that a lost sync backup must keep, as `lab.incidents.backup_lost` judges it."""

from __future__ import annotations

import pytest

from lab.incidents.backup_lost import Engine, JournalOrder, Look, Times, broken_order

DEAD_MS, BACK_MS = 1000.0, 9000.0


def engine(*waits: tuple[float, bool]) -> Engine:
    return Engine([Look(at_ms, at_ms + 1, told) for at_ms, told in waits])


LEFT = engine((900, True), (3000, False), (11000, False), (12000, True), (13000, True))


def times(**other: float | None) -> Times:
    right: dict[str, float | None] = {
        "dead_ms": DEAD_MS,
        "back_ms": BACK_MS,
        "alone_ms": 2900,
        "protected_ms": 12500,
        "first_ack_ms": 3050,
    }
    return Times(**{**right, **other})  # type: ignore[arg-type]


def test_alone_first_then_relaxed_then_told_and_back_in_the_other_order() -> None:
    assert broken_order(times(), LEFT, blocks=False) == []
    assert LEFT.relaxed_ms(DEAD_MS) == 3001
    assert LEFT.waits_since_ms() == 12000


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"alone_ms": 3002}, "relaxed 1 ms before ALONE"),
        ({"first_ack_ms": 2800}, "acknowledged 100 ms before ALONE"),
        ({"first_ack_ms": None}, "never stood alone and wrote"),
        ({"protected_ms": 11900}, "eligible before the engine waited"),
        ({"protected_ms": None}, "eligible before the engine waited"),
    ],
)
def test_another_order_is_told(wrong: dict[str, float | None], text: str) -> None:
    (found,) = broken_order(times(**wrong), LEFT, blocks=False)
    assert text in found


def test_who_blocks_acknowledges_nothing_before_its_backup_is_back_and_is_never_relaxed() -> None:
    kept = engine((900, True), (3000, True), (11000, True))
    waited = times(alone_ms=None, protected_ms=None, first_ack_ms=9500)
    assert broken_order(waited, kept, blocks=True) == []
    early = times(alone_ms=None, protected_ms=None, first_ack_ms=8000)
    assert broken_order(early, kept, blocks=True) != []
    assert "its engine was relaxed" in broken_order(waited, LEFT, blocks=True)
    assert "it stood alone, though it must block" in broken_order(times(), LEFT, blocks=True)


def test_the_journal_must_have_sync_before_protected() -> None:
    assert JournalOrder(alone=15, sync=88, protected=94).protected_after_sync
    assert not JournalOrder(alone=15, sync=94, protected=88).protected_after_sync
    assert not JournalOrder(alone=15, sync=None, protected=88).protected_after_sync
    assert JournalOrder(alone=None, sync=None, protected=None).protected_after_sync
