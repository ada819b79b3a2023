"""The journal: whole files, bounded, and never in anybody's way."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from controller import journal as journal_module
from controller.core.decided import Decided
from controller.core.events import Tick
from controller.core.model import State
from controller.core.step import begin, found
from controller.journal import (
    EventLine,
    Journal,
    JournalUnreadable,
    Line,
    SnapshotLine,
    files,
    numbered,
)
from controller.specs import service_specs
from tests.controller.cluster import Cluster

WAIT_S = 20.0


@pytest.fixture
def state(cluster: Cluster) -> State:
    specs = service_specs(cluster.topology)
    return begin(specs, {s.uid: found(s, 1) for s in specs}, 1, "g", 1000)


def read(directory: Path) -> list[Line | None]:
    """Every line of every file; None for a torn one."""
    return [line for path in files(directory) for _number, _size, line in numbered(path)]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_what_is_written_is_read_back(tmp_path: Path, state: State) -> None:
    journal = Journal(tmp_path / "j", 10**6, 3, "1.0")
    journal.begin(state, 1000)
    journal.note(Tick(), 1050, state, [])
    journal.close()
    snapshot, event = read(tmp_path / "j")
    assert isinstance(snapshot, SnapshotLine)
    assert (snapshot.state, snapshot.now_ms, snapshot.version) == (state, 1000, "1.0")
    assert event == EventLine(1050, Tick(), Decided(), 2)
    (file,) = files(tmp_path / "j")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_each_file_begins_with_a_snapshot_and_only_so_many_are_kept(
    tmp_path: Path, state: State
) -> None:
    journal = Journal(tmp_path, 1, 3, "1.0")
    journal.begin(state, 1000)
    for number in range(10):
        journal.note(Tick(), 1000 + number, state, [])
    journal.close()
    kept = files(tmp_path)
    assert [file.name[-7:-6] for file in kept] == ["9", "0", "1"]
    for file in kept:
        assert isinstance(next(numbered(file))[2], SnapshotLine)


def test_a_new_start_begins_a_new_file(tmp_path: Path, state: State) -> None:
    for _ in range(2):
        journal = Journal(tmp_path, 10**6, 3, "1.0")
        journal.begin(state, 1000)
        journal.close()
    assert len(files(tmp_path)) == 2


def test_a_torn_last_line_is_left_out_but_a_spoilt_one_is_told(
    tmp_path: Path, state: State
) -> None:
    journal = Journal(tmp_path, 10**6, 3, "1.0")
    journal.begin(state, 1000)
    journal.note(Tick(), 1050, state, [])
    journal.close()
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"kind": "event", "now')
    *lines, last = read(tmp_path)
    assert (len(lines), last) == (2, None)
    file.write_bytes(whole + b"garbage\n" + whole)
    with pytest.raises(JournalUnreadable, match=r"journal-00000001\.jsonl:3"):
        read(tmp_path)


def test_each_line_is_numbered_within_its_file(tmp_path: Path, state: State) -> None:
    journal = Journal(tmp_path, 10**6, 3, "1.0")
    for at_ms in (1000, 2000):
        journal.begin(state, at_ms)
        for number in range(3):
            journal.note(Tick(), at_ms + number, state, [])
    journal.close()
    for file in files(tmp_path):
        _snapshot, *events = [line for _number, _size, line in numbered(file)]
        assert [line.number for line in events if isinstance(line, EventLine)] == [2, 3, 4]


def test_a_disk_that_takes_nothing_is_counted_and_later_mended(
    tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "TRY_AGAIN_S", 0.0)
    place = tmp_path / "journal"
    place.write_text("a file stands where the directory should")
    journal = Journal(place, 10**6, 3, "1.0")
    journal.begin(state, 1000)
    wait_for(lambda: bool(journal.problem))
    assert journal.errors == 1
    assert "journal" in journal.problem
    place.unlink()
    journal.note(Tick(), 1050, state, [])
    journal.note(Tick(), 1100, state, [])
    wait_for(lambda: not journal.problem)
    journal.close()
    snapshot, event = read(place)
    assert isinstance(snapshot, SnapshotLine)
    assert snapshot.now_ms == 1050
    assert event == EventLine(1100, Tick(), Decided(), 2)
