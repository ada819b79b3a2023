"""The checkers can fail: rules dropped or misread on purpose are caught."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, Future

import pytest

from tests.simulation.mutants.catalogue import AREAS, MUTANTS
from tests.simulation.mutants.hunt import Catch, hunt, hunters

MOST_S = 1200
"""How long a hunt and those before it may take: far more than they need, for slow machines."""

Hunts = dict[str, "Future[Catch]"]


@pytest.fixture(scope="module")
def hunts() -> Iterator[Hunts]:
    """All hunts at once; each test waits for its own."""
    with hunters() as pool:
        yield _begin(pool)


def _begin(pool: Executor) -> Hunts:
    return {name: pool.submit(hunt, name) for name in MUTANTS}


@pytest.mark.timeout(MOST_S + 20)
@pytest.mark.parametrize("name", MUTANTS)
def test_rule_that_is_misread_is_caught(name: str, hunts: Hunts) -> None:
    """Within its number of seeds, and as a break of the promise that it threatens."""
    catch = hunts[name].result(timeout=MOST_S)
    assert catch.caught_as, catch.text


def test_no_two_mutants_have_one_name() -> None:
    """Else one of them would never be let loose."""
    assert sum(len(area.MUTANTS) for area in AREAS) == len(MUTANTS)
