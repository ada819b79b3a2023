"""What the controller of a lab decided comes out the same when its journal is replayed.

`python -m tests.lab.replayed DIRECTORY` replays one journal and ends with 1 where it does not. The
tests go on meanwhile, with what time they leave: it takes longer than some of them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from config.loader import load_topology
from controller.replay import journal_files, replay
from lab.base.plan import Plan
from lab.base.processes import ROOT
from lab.running.four_sites import Lab

LIMIT_S = 300.0
LAST = "19"


class Replays:
    """The journals of the labs that were stopped, each replayed by a process of its own."""

    def __init__(self) -> None:
        self._begun: list[tuple[str, Path, subprocess.Popen[str]]] = []

    def begin(self, plan: Plan) -> None:
        """Take the journal, before its lab's directory is removed. Nothing without one."""
        if not plan.topology_file.exists():
            return
        journal = load_topology(plan.topology_file).value.journal.directory
        if not journal.exists():
            return
        kept = Path(tempfile.mkdtemp(prefix="saling-journal-"))
        shutil.copytree(journal, kept, dirs_exist_ok=True)
        command = (sys.executable, "-m", "tests.lab.replayed", str(kept))
        # A session of its own: only so does the kernel let it wait for all the others.
        process = subprocess.Popen(
            command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self._begun.append((" ".join(service.name for service in plan.services), kept, process))

    def wrong(self) -> list[str]:
        """Wait for all; which lab decided otherwise than its journal, and where that is kept."""
        found = []
        for services, kept, process in self._begun:
            _, error = process.communicate(timeout=LIMIT_S)
            if process.returncode:
                found.append(f"the lab of {services}, journal in {kept}: {error[-2000:]}")
            else:
                shutil.rmtree(kept)
        return found


@contextmanager
def every_lab_replayed() -> Iterator[None]:
    """Whoever stops a lab meanwhile has its journal replayed; in the end all must be the same."""
    stop, replays = Lab.stop, Replays()

    async def stop_and_replay(lab: Lab) -> None:
        await stop(lab)
        replays.begin(lab.plan)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lab, "stop", stop_and_replay)
        yield
    assert replays.wrong() == []


def assert_replays(journal: Path) -> None:
    """Over all lives of its controller."""
    told = replay(journal_files(journal))
    assert told.difference is None, told.difference
    assert told.identical
    assert told.compared == told.events > 0


def main() -> None:
    with contextlib.suppress(OSError):
        os.nice(int(LAST))
        # It is the whole session that waits then: never that of a person's shell.
        if os.getsid(0) == os.getpid():
            Path("/proc/self/autogroup").write_text(LAST)
    assert_replays(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
