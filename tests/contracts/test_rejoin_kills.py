"""A short version of the bench of kills: `python -m tests.contracts.rejoin_kills` has the long."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contracts.conftest import FOUND
from tests.contracts.rejoin_kills import kills_on

KILLS = 6
pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]


async def test_an_old_primary_comes_home_whatever_dies_on_the_way(directory: Path) -> None:
    if 18 not in FOUND:
        pytest.skip("no server programs of PostgreSQL 18 on this machine")
    kills, sites = await kills_on(directory, FOUND[18], seed=3)
    try:
        for _ in range(KILLS):
            print(await kills.round())
    finally:
        for site in sites:
            await site.end()
