"""A backup that could keep no promise is none, and is one again by itself."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from agents.state_disk import PROBE_FILE
from lab.base.plan import site_of
from lab.running.four_sites import Lab
from tests.lab.conftest import FAST

pytestmark = [pytest.mark.lab, pytest.mark.postgres, pytest.mark.asyncio(loop_scope="package")]


def block(path: Path) -> None:
    """The agent makes its file and removes it all the while."""
    while True:
        path.unlink(missing_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return


async def test_a_backup_whose_state_directory_takes_nothing_is_given_up_until_it_does(
    whole: Lab,
) -> None:
    # What stands in the way of the agent's file, for root may write to any disk but a full one.
    backup = site_of((await whole.api.explain(FAST.name))["backup"])
    in_the_way = whole.plan.site_directory(backup) / "state" / PROBE_FILE
    block(in_the_way)
    try:
        seen = await whole.wait_for_phase(FAST.name, "ALONE")
        assert str(in_the_way.parent) in seen["advice"]
        assert not seen["protected"]
    finally:
        in_the_way.rmdir()
    await whole.wait_until_whole(FAST.name)
