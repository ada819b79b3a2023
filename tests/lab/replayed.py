"""What the controller of a lab decided comes out the same when its journal is replayed."""

from __future__ import annotations

from config.loader import load_topology
from controller.journal import files
from controller.replay import replay
from lab.plan import Plan


def assert_replays(plan: Plan) -> None:
    """Replay the journal of a lab that has ended, over all lives of its controller.

    A lab that was stopped before its controller wrote anything has none.
    """
    if not plan.topology_file.exists():
        return
    paths = files(load_topology(plan.topology_file).value.journal.directory)
    if not paths:
        return
    told = replay(paths)
    assert told.difference is None, told.difference
    assert told.too_old == ()
    assert told.compared == told.events
