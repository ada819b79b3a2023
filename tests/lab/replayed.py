"""What the controller of a lab decided comes out the same when its journal is replayed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from config.loader import load_topology
from controller.replay import journal_files, replay
from lab.base.plan import Plan
from lab.running.four_sites import Lab


@contextmanager
def every_lab_replayed() -> Iterator[None]:
    """Whoever stops a lab meanwhile has its journal replayed, before anybody removes it."""
    stop = Lab.stop

    async def stop_and_replay(lab: Lab) -> None:
        await stop(lab)
        assert_replays(lab.plan)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lab, "stop", stop_and_replay)
        yield


def assert_replays(plan: Plan) -> None:
    """Replay the journal of a lab that has ended, over all lives of its controller."""
    if not plan.topology_file.exists():
        return
    directory = load_topology(plan.topology_file).value.journal.directory
    if not directory.exists():
        return
    told = replay(journal_files(directory))
    assert told.difference is None, told.difference
    assert told.identical
    assert told.compared == told.events > 0
