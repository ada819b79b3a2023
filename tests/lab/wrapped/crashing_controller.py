"""The shipped controller, killed right after it has persisted a change to a given phase.

`crashing_controller.py PHASE --config FILE`. The change is in the store, nothing that follows
from it was done: the worst moment for a crash.
"""

from __future__ import annotations

import os
import signal
import sys

from controller.core.model import Record, Transition
from controller.daemon import main
from controller.stores.sqlite import SqliteStore

PHASE = sys.argv.pop(1)
swap = SqliteStore.swap


def swap_and_die(
    self: SqliteStore, record: Record, expected_revision: int, term: int, transition: Transition
) -> bool:
    done = swap(self, record, expected_revision, term, transition)
    if done and record.phase.value == PHASE:
        os.kill(os.getpid(), signal.SIGKILL)
    return done


SqliteStore.swap = swap_and_die  # type: ignore[method-assign]
main()
