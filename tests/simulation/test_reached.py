"""Every row of the table of phases and every branch of both cores is reached by some world."""

from __future__ import annotations

import pytest

from tests.simulation.reached.measure import Missed, Reached, measure
from tests.simulation.reached.unreachable import UNREACHABLE, sort_out
from tests.simulation.reached.worlds import tasks

SEEDS = 1
"""Of each profile, beside all nights and scenarios; `make sim-coverage` takes more."""
SECONDS = 12
PROCESSES = 2
MOST_S = 280


@pytest.fixture(scope="module")
def reached() -> Reached:
    """Measured once."""
    return measure(tasks(SEEDS, SECONDS), PROCESSES, MOST_S)


@pytest.mark.timeout(MOST_S + 20)
def test_every_row_of_the_table_is_taken(reached: Reached) -> None:
    never = [row for row, count in reached.rows.items() if not count]
    assert not never


@pytest.mark.timeout(MOST_S + 20)
def test_every_branch_is_reached_or_listed_with_a_reason(reached: Reached) -> None:
    unexplained, stale = sort_out(reached.missed)
    assert not unexplained, "\n".join(map(str, unexplained))
    assert not stale


def test_entry_covers_its_file_only_and_lines_that_begin_so() -> None:
    entry = UNREACHABLE[0]
    line = next(
        number
        for number in range(1, 100)
        if Missed(entry.path, number).code.startswith(entry.codes)
    )
    assert entry.covers(Missed(entry.path, line))
    assert not entry.covers(Missed(entry.path, 1))
    assert not entry.covers(Missed("agents/core/step.py", line))
    assert all(entry.why for entry in UNREACHABLE)
