"""The SQLite store as a file on a disk: locked, private, checked, and whole after a kill."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from config.leases import PROFILES
from controller.core.happening import About, Happening
from controller.core.model import Operation, Phase, Record
from controller.core.plan_model import Plan, PlanChange, PlanKind, PlanStatus
from controller.stores import sqlite
from controller.stores.base import Kept, StoreFailed, StoreLocked, StoreUnusable
from controller.stores.sqlite import SqliteStore

KILLS = 3
SWAPS_BEFORE_KILL = 40

SWAPPER = """
import sys
from pathlib import Path
from msgspec.structs import replace
from config.leases import PROFILES
from controller.core.model import Phase, Record, Transition
from controller.stores.sqlite import SqliteStore

store = SqliteStore(Path(sys.argv[1]), "c1")
term = store.begin_term()
first = Record("paspor", "paspor", 1, term, Phase.ALONE, 1, "a", "b", PROFILES["fast"], 2000)
store.insert(first)
record = store.read("paspor", term)
while True:
    new = replace(record, revision=record.revision + 1, term=term)
    note = Transition("paspor", "paspor", new.revision, term, 1, "ALONE", "ALONE", "", "a", "b")
    assert store.swap(new, record.revision, term, note)
    record = new
    print(new.revision, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "controller.db"


def make(path: Path) -> None:
    store = SqliteStore(path, "c1")
    store.begin_term()
    store.close()


def spoil(path: Path, *statements: str) -> None:
    database = sqlite3.connect(path)
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()


def test_only_its_owner_can_read_the_files(path: Path) -> None:
    old_mask = os.umask(0)
    try:
        store = SqliteStore(path, "c1")
        store.begin_term()
    finally:
        os.umask(old_mask)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    store.close()
    assert "controller.db" in modes
    assert set(modes.values()) == {0o600}


def test_a_second_process_is_refused_by_the_number_of_the_first(path: Path) -> None:
    store = SqliteStore(path, "c1")
    with pytest.raises(StoreLocked, match=f"process {os.getpid()}.*stop it first"):
        SqliteStore(path, "c1")
    store.close()
    SqliteStore(path, "c1").close()


def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    make(path)
    spoil(path, "PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(StoreUnusable, match=r"newer Saling .schema 99.*upgrade"):
        SqliteStore(path, "c1")
    assert path.read_bytes() == before


def test_the_database_of_something_else_is_refused(path: Path) -> None:
    path.parent.mkdir()
    spoil(path, "CREATE TABLE customers (name TEXT)")
    with pytest.raises(StoreUnusable, match="no store of Saling"):
        SqliteStore(path, "c1")


def test_the_store_of_another_cluster_is_refused(path: Path) -> None:
    make(path)
    with pytest.raises(StoreUnusable, match=r"cluster 'c1'.*says 'c2'"):
        SqliteStore(path, "c2")


@pytest.mark.parametrize("content", [b"no database at all, not even nearly" * 100, None])
def test_a_damaged_file_is_refused_with_the_mend(path: Path, content: bytes | None) -> None:
    make(path)
    if content is None:
        whole = bytearray(path.read_bytes())
        whole[4096:] = os.urandom(len(whole) - 4096)
        content = bytes(whole)
    path.write_bytes(content)
    with pytest.raises(StoreUnusable, match=r"damaged.*backup"):
        SqliteStore(path, "c1")


def test_one_record_that_cannot_be_read_leaves_the_others(path: Path) -> None:
    make(path)
    spoil(path, "INSERT INTO records VALUES ('blank', 1, '{}')")
    store = SqliteStore(path, "c1")
    stored = store.records()
    store.close()
    assert stored.records == {}
    assert "blank" in stored.broken["blank"]


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreFailed, match="file"):
        SqliteStore(tmp_path / "file" / "controller.db", "c1")


def test_a_full_disk_is_told_and_changes_nothing(path: Path) -> None:
    store = SqliteStore(path, "c1")
    first = store.begin_term()
    store._database.execute("PRAGMA max_page_count = 1")
    with pytest.raises(StoreFailed, match="disk"):
        store.claim_request("key", "d" * 1_000_000)
    assert store.begin_term() == first + 1
    store.close()


def test_old_requests_are_forgotten_and_their_number_is_bounded(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "REQUESTS_KEPT", 3)
    store = SqliteStore(path, "c1")
    for number in range(5):
        store.claim_request(f"key {number}", "d")
    assert store.claim_request("key 4", "d") is not None
    assert store.claim_request("key 0", "d") is None
    monkeypatch.setattr(sqlite, "_wall_ms", lambda: 2**50)
    assert store.claim_request("key 4", "d") is None
    store.close()


def test_a_kill_in_the_middle_of_swaps_loses_nothing_that_was_told(path: Path, root: Path) -> None:
    term = 0
    for _ in range(KILLS):
        told = kill_in_the_middle(path, root)
        store = SqliteStore(path, "c1")
        term = store.begin_term()
        record = store.read("paspor", term)
        assert record is not None
        revisions = [line.transition.revision for line in store.history("paspor", 10**6)]
        store.close()
        assert record.revision >= told
        assert revisions == list(range(record.revision, 1, -1))
    assert term == 2 * KILLS


def kill_in_the_middle(path: Path, root: Path) -> int:
    """The last revision that was told before the kill."""
    process = subprocess.Popen(
        [sys.executable, "-c", SWAPPER, str(path)], cwd=root, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    told = 0
    for _ in range(SWAPS_BEFORE_KILL):
        told = int(process.stdout.readline())
    process.kill()
    rest = process.stdout.read()
    process.wait(30)
    process.stdout.close()
    whole = [int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    return max([told, *whole])


def test_a_store_of_the_version_before_takes_plans(path: Path) -> None:
    make(path)
    spoil(path, "DROP TABLE plans", "DROP TABLE plan_history")
    store = SqliteStore(path, "c1")
    assert store.plans(5) == ([], 0, {})
    store.close()


def test_a_plan_that_cannot_be_read_is_named_and_the_others_come_back(path: Path) -> None:
    store = SqliteStore(path, "c1")
    term = store.begin_term()
    for number in (1, 2):
        one = Plan(f"evacuate-batam-{number}", PlanKind.EVACUATE, "batam", "siti", number=number)
        assert store.save_plan(one, 0, term, ())
    store.close()
    spoil(path, "UPDATE plans SET plan = '{}' WHERE number = 2")
    store = SqliteStore(path, "c1")
    told = store.plans(5)
    assert [one.plan.number for one in told.plans] == [1]
    assert told.made == 2
    assert "cannot be read" in told.broken["evacuate-batam-2"]
    assert store.plan("evacuate-batam-2") is None
    store.close()


def test_a_plan_that_cannot_be_read_keeps_no_other_from_being_kept(path: Path) -> None:
    store = SqliteStore(path, "c1", Kept(plans=1))
    term = store.begin_term()
    one = Plan("evacuate-batam-1", PlanKind.EVACUATE, "batam", "siti", number=1)
    assert store.save_plan(one, 0, term, ())
    store.close()
    spoil(path, "UPDATE plans SET plan = 'no JSON' WHERE number = 1", "DROP INDEX plans_of_kind")
    store = SqliteStore(path, "c1", Kept(plans=1))
    for number in (2, 3):
        one = Plan(f"evacuate-ikn-{number}", PlanKind.EVACUATE, "ikn", "siti", number=number)
        assert store.save_plan(one, 0, store.begin_term(), ())
    told = store.plans()
    assert ([one.plan.number for one in told.plans], set(told.broken)) == (
        [3],
        {"evacuate-batam-1"},
    )
    store.close()


def test_a_record_of_the_version_before_is_read_without_the_plan_of_its_operation(
    path: Path,
) -> None:
    store = SqliteStore(path, "c1")
    term = store.begin_term()
    move = Operation("paspor-2", "switchover", "siti", "evacuate-batam-1: flood", "a", "b")
    terms = PROFILES["fast"]
    first = Record("paspor", "paspor", 1, term, Phase.DRAINING, 1, "a", "b", terms, 2000,
                   operation=move)  # fmt: skip
    store.insert(first)
    store.close()
    spoil(path, "UPDATE records SET record = json_remove(record, '$.operation.plan')")
    store = SqliteStore(path, "c1")
    assert store.records() == ({"paspor": first}, {})
    store.close()


def test_a_line_that_a_later_version_wrote_hides_none_of_the_others(path: Path) -> None:
    store = SqliteStore(path, "c1")
    term = store.begin_term()
    record = Record("paspor", "paspor", 1, term, Phase.ALONE, 1, "a", "b", PROFILES["fast"], 2000)
    store.insert(record)
    told = PlanChange("p", PlanKind.EVACUATE, "batam", 1, PlanStatus.RUNNING, "begins")
    store.save_plan(Plan("p", PlanKind.EVACUATE, "batam", "siti", number=1), 0, term, (told, told))
    store.note((Happening(About.SITE, "batam", "up -> down", "nobody hears it"),) * 2, term)
    store.close()
    spoil(
        path,
        "UPDATE plan_history SET change = replace(change, 'evacuate', 'teleport') WHERE number = 1",
        "UPDATE happenings SET happening = '[]' WHERE number = 1",
        "INSERT INTO history (at_ms, service_uid, transition) VALUES (1, 'paspor', '{}')",
    )
    store = SqliteStore(path, "c1")
    assert [line.number for line in store.plan_history("p", 9)] == [2]
    assert [line.number for line in store.happenings(9)] == [2]
    assert store.history(None, 9) == []
    store.close()
