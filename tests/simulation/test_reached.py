"""Every row of the table of phases and every branch of both cores is reached by some world."""

from __future__ import annotations

import pytest

from tests.simulation.reached.measure import ROOT, Missed, Reached, measure
from tests.simulation.reached.unreachable import UNREACHABLE, sort_out
from tests.simulation.reached.worlds import tasks

SEEDS = 1
"""Of each profile, beside all nights and scenarios; `make sim-coverage` takes more."""
SECONDS = 12
PROCESSES = 2
MOST_S = 1200
"""Far more than it needs, for slow machines."""


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


def test_entry_covers_a_line_of_its_own_function_in_its_own_file_only() -> None:
    entry = next(e for e in UNREACHABLE if e.path == "agents/core/permission.py")
    lines = (ROOT / entry.path).read_text().splitlines()
    same = [n for n, text in enumerate(lines, 1) if text.strip() == "return False"]
    covered = [n for n in same if entry.covers(Missed(entry.path, n))]
    assert 0 < len(covered) < len(same)
    assert not entry.covers(Missed("agents/core/step.py", covered[0]))
    assert not entry.covers(Missed(entry.path, 0))
    assert all(e.why for e in UNREACHABLE)
