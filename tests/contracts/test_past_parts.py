"""Whether a stopped copy's own log goes past a fork, told from files alone."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from agents.engines.pg_lineage import OPEN_BYTES, Divergence, Gone, Span
from agents.engines.pg_past import own_log, reaches_past
from agents.engines.pg_tools import ControlData
from tests.contracts.test_quarantine_parts import SEGMENT, log_with, made_record

FORK = 3 * SEGMENT + 40
OWN = (Span(1, 0, OPEN_BYTES),)
FOUND = Divergence(FORK, (Span(1, FORK, OPEN_BYTES),))
BEFORE = ControlData("7", 1, "in production", FORK - 200, FORK - 200, SEGMENT, 0)
RECORD = made_record(b"x" * 300)


def past(data: Path, control: ControlData = BEFORE) -> Divergence | None:
    (data / "pg_wal").mkdir(exist_ok=True)
    return own_log(data, OWN, FOUND, control)


def test_only_a_whole_record_at_the_fork_makes_it_go_past_when_nothing_else_tells(
    tmp_path: Path,
) -> None:
    assert past(tmp_path) is None
    log_with(tmp_path, RECORD[:-1] + b"y", FORK)
    assert past(tmp_path) is None
    log_with(tmp_path, RECORD, FORK)
    found = past(tmp_path)
    assert found is not None
    assert (found.fork_bytes, found.gone) == (FORK, None)


def test_log_behind_a_missing_fork_is_log_of_its_own(tmp_path: Path) -> None:
    log_with(tmp_path, RECORD, 13 * SEGMENT + 40)
    found = past(tmp_path)
    assert found is not None
    assert found.gone == Gone(FORK, 13 * SEGMENT)
    assert found.readable_bytes == 13 * SEGMENT


def test_a_gap_behind_the_fork_is_told_by_its_places(tmp_path: Path) -> None:
    log_with(tmp_path, RECORD, FORK)
    log_with(tmp_path, b"", 4 * SEGMENT)
    log_with(tmp_path, b"", 6 * SEGMENT)
    found = past(tmp_path)
    assert found is not None
    assert found.gone == Gone(5 * SEGMENT, 6 * SEGMENT)


def test_what_the_control_file_says_counts_where_no_log_is_left(tmp_path: Path) -> None:
    for late in (
        replace(BEFORE, checkpoint_bytes=FORK),
        replace(BEFORE, redo_bytes=FORK + 8, checkpoint_bytes=FORK + 80),
        replace(BEFORE, recovery_end_bytes=FORK + 8),
    ):
        found = past(tmp_path, late)
        assert found is not None
        assert found.gone == Gone(FORK, OPEN_BYTES)
        assert found.reached_bytes > FORK
    assert past(tmp_path, replace(BEFORE, recovery_end_bytes=FORK)) is None


def test_a_broken_record_at_the_fork_hides_nothing_that_the_control_file_knows(
    tmp_path: Path,
) -> None:
    log_with(tmp_path, RECORD[:-1] + b"y", FORK)
    found = past(tmp_path, replace(BEFORE, checkpoint_bytes=FORK + 400))
    assert found is not None
    assert (found.gone, found.reached_bytes) == (None, FORK + 401)


def test_a_running_copy_is_past_the_fork_by_what_it_replayed() -> None:
    assert reaches_past(FOUND, FORK + 1)
    assert not reaches_past(FOUND, FORK, 0)
