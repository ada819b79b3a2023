"""What the controller of a lab decided comes out the same when its journal is replayed."""

from __future__ import annotations

from config.loader import load_topology
from controller.replay import journal_files, replay
from lab.plan import Plan


def assert_replays(plan: Plan) -> None:
    """Replay the journal of a lab that has ended, over all lives of its controller."""
    directory = load_topology(plan.topology_file).value.journal.directory
    told = replay(journal_files(directory))
    assert told.difference is None, told.difference
    assert told.identical
    assert told.compared == told.events > 0
    assert told.changes > 0
