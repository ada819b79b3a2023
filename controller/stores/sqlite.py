"""The store in one SQLite file: for one controller, on one host, on a local disk.

Every change is one transaction that is on the disk when the call returns (write-ahead log,
synchronous FULL). A lock file beside it keeps a second controller out.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from controller.core.happening import Happening
from controller.core.model import Record, Transition
from controller.core.plan_model import Plan, PlanChange, PlanKind
from controller.core.site_model import Caution
from controller.stores import sqlite_lines as lines
from controller.stores import sqlite_plans
from controller.stores.base import (
    Claim,
    HappeningLine,
    HistoryLine,
    Kept,
    LeaderReplaced,
    PlanLine,
    Plans,
    Stored,
    StoredPlan,
    StoreFailed,
    StoreLocked,
    StoreUnusable,
)

SCHEMA_VERSION = 1
APPLICATION_ID = 0x53414C31
"""Marks the file as Saling's: 'SAL1'."""

BUSY_TIMEOUT_S = 2.0
"""How long a backup tool that reads the file may hold a change up."""

KEPT = Kept()
REQUESTS_KEPT = 10_000
REQUESTS_KEPT_MS = 24 * 3600 * 1000

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE records (
    service_uid TEXT PRIMARY KEY, revision INTEGER NOT NULL, record TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE history (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL,
    service_uid TEXT NOT NULL, transition TEXT NOT NULL
);
CREATE INDEX history_of_service ON history (service_uid, number);
CREATE TABLE requests (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE,
    digest TEXT NOT NULL, answer BLOB NOT NULL, at_ms INTEGER NOT NULL
);
"""


class SqliteStore:
    """One SQLite file. Calls may come from any thread, but only one at a time."""

    kind = "sqlite"

    def __init__(self, path: Path, cluster: str, kept: Kept = KEPT) -> None:
        """Open the store, or make it. Raises StoreLocked, StoreUnusable, StoreFailed."""
        self._path = path
        self._kept = kept
        self._lock: BinaryIO | None = _lock(path)
        try:
            self._database = _open(path)
            with _told(path):
                self.generation = self._prepare(cluster)
        except BaseException:
            self._lock.close()
            raise

    def begin_term(self) -> int:
        with self._change() as database:
            (term,) = database.execute(
                "UPDATE meta SET value = value + 1 WHERE key = 'term' RETURNING value"
            ).fetchone()
        return int(term)

    def records(self) -> Stored:
        records: dict[str, Record] = {}
        broken: dict[str, str] = {}
        with _told(self._path):
            rows = self._database.execute(
                "SELECT service_uid, revision, record FROM records ORDER BY service_uid"
            ).fetchall()
        for uid, revision, text in rows:
            try:
                records[uid] = _record(uid, revision, text)
            except StoreUnusable as error:
                broken[uid] = str(error)
        return Stored(records, broken)

    def read(self, service_uid: str, term: int) -> Record | None:
        with _told(self._path):
            self._require_term(self._database, term)
            row = self._database.execute(
                "SELECT revision, record FROM records WHERE service_uid = ?", (service_uid,)
            ).fetchone()
        return _record(service_uid, *row) if row else None

    def insert(self, record: Record) -> bool:
        with self._change() as database:
            self._require_term(database, record.term)
            done = database.execute(
                "INSERT INTO records VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (record.service_uid, record.revision, _text(record)),
            )
            return done.rowcount == 1

    def swap(
        self, record: Record, expected_revision: int, term: int, transition: Transition
    ) -> bool:
        with self._change() as database:
            done = database.execute(
                "UPDATE records SET revision = ?, record = ? WHERE service_uid = ? AND "
                "revision = ? AND (SELECT value FROM meta WHERE key = 'term') = ?",
                (
                    record.revision,
                    _text(record),
                    record.service_uid,
                    expected_revision,
                    str(term),
                ),
            )
            if done.rowcount != 1:
                return False
            database.execute(
                "INSERT INTO history (at_ms, service_uid, transition) VALUES (?, ?, ?)",
                (_wall_ms(), record.service_uid, _text(transition)),
            )
            lines.forget(database, "history", self._kept.changes)
        return True

    def history(self, service_uid: str | None, limit: int) -> list[HistoryLine]:
        where = "" if service_uid is None else "WHERE service_uid = ?"
        parameters = (limit,) if service_uid is None else (service_uid, limit)
        with _told(self._path):
            rows = self._database.execute(
                f"SELECT number, at_ms, transition FROM history {where} "
                "ORDER BY number DESC LIMIT ?",
                parameters,
            ).fetchall()
        return [
            HistoryLine(number, at_ms, transition)
            for number, at_ms, transition in lines.readable("history", Transition, rows)
        ]

    def save_plan(
        self, plan: Plan, expected_revision: int, term: int, changes: tuple[PlanChange, ...]
    ) -> bool:
        with self._change() as database:
            now_ms = _wall_ms()
            if not sqlite_plans.save(database, plan, expected_revision, term, changes, now_ms):
                return False
            lines.forget(database, "plan_history", self._kept.plan_lines)
            if not expected_revision:
                sqlite_plans.forget(database, self._kept.plans, self._kept.by_policy)
        return True

    def plans(self, limit: int | None = None, kind: PlanKind | None = None) -> Plans:
        with _told(self._path):
            return sqlite_plans.newest(self._database, limit, kind)

    def plan(self, plan_id: str) -> StoredPlan | None:
        with _told(self._path):
            return sqlite_plans.one(self._database, plan_id)

    def plan_history(self, plan_id: str | None, limit: int) -> list[PlanLine]:
        with _told(self._path):
            return sqlite_plans.history(self._database, plan_id, limit)

    def happenings(self, limit: int) -> list[HappeningLine]:
        with _told(self._path):
            return lines.happenings(self._database, limit)

    def note(self, told: tuple[Happening, ...], term: int) -> None:
        with self._change() as database:
            self._require_term(database, term)
            lines.note(database, told, _wall_ms())
            lines.forget(database, "happenings", self._kept.happenings)

    def keep_cautions(self, cautions: tuple[Caution, ...], term: int) -> None:
        with self._change() as database:
            self._require_term(database, term)
            lines.keep_cautions(database, cautions)

    def cautions(self) -> tuple[Caution, ...]:
        with _told(self._path):
            return lines.cautions(self._database)

    def claim_request(self, key: str, digest: str) -> Claim | None:
        now_ms = _wall_ms()
        with self._change() as database:
            database.execute(
                "DELETE FROM requests WHERE at_ms < ? OR number <= "
                "(SELECT max(number) FROM requests) - ?",
                (now_ms - REQUESTS_KEPT_MS, REQUESTS_KEPT),
            )
            row = database.execute(
                "SELECT digest, answer FROM requests WHERE key = ?", (key,)
            ).fetchone()
            if row:
                return Claim(*row)
            database.execute(
                "INSERT INTO requests (key, digest, answer, at_ms) VALUES (?, ?, ?, ?)",
                (key, digest, b"", now_ms),
            )
        return None

    def settle_request(self, key: str, answer: bytes) -> None:
        with self._change() as database:
            if answer:
                database.execute("UPDATE requests SET answer = ? WHERE key = ?", (answer, key))
            else:
                database.execute("DELETE FROM requests WHERE key = ?", (key,))

    def close(self) -> None:
        if self._lock is None:
            return
        self._database.close()
        self._lock.close()
        self._lock = None

    def _prepare(self, cluster: str) -> str:
        """Check what is there, or make the tables; the generation."""
        database = self._database
        (version,) = database.execute("PRAGMA user_version").fetchone()
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables == 0:
            self._create(cluster)
        elif application != APPLICATION_ID:
            raise StoreUnusable(
                f"{self._path}: this SQLite file is no store of Saling's; name another path in "
                "store.path, or move the file away"
            )
        elif version > SCHEMA_VERSION:
            raise StoreUnusable(
                f"{self._path}: written by a newer Saling (schema {version}, this one reads "
                f"{SCHEMA_VERSION}); upgrade this controller"
            )
        found = dict(database.execute("SELECT key, value FROM meta"))
        if found.get("cluster") != cluster:
            raise StoreUnusable(
                f"{self._path}: this is the store of cluster {found.get('cluster')!r}, the "
                f"configuration says {cluster!r}; correct cluster.uid or store.path"
            )
        with self._change() as changing:
            for statement in (*sqlite_plans.SCHEMA.split(";"), lines.SCHEMA):
                changing.execute(statement)
        return str(found["generation"])

    def _create(self, cluster: str) -> None:
        first = [("cluster", cluster), ("generation", secrets.token_hex(8)), ("term", "0")]
        with self._change() as database:
            for statement in SCHEMA.split(";"):
                database.execute(statement)
            database.executemany("INSERT INTO meta VALUES (?, ?)", first)
            database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed at the end, rolled back on any error."""
        database = self._database
        with _told(self._path):
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise

    def _require_term(self, database: sqlite3.Connection, term: int) -> None:
        (text,) = database.execute("SELECT value FROM meta WHERE key = 'term'").fetchone()
        if int(text) != term:
            raise LeaderReplaced(
                f"{self._path}: term {text} has begun, this controller led in term {term}; it "
                "must stop"
            )


def _lock(path: Path) -> BinaryIO:
    """Hold `<path>.lock` for as long as the returned file is open."""
    beside = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.fdopen(os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b")
    except OSError as error:
        raise StoreFailed(
            f"{beside}: cannot be opened: {error.strerror}; let the controller's user write there"
        ) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        other = file.read(20).decode(errors="replace").strip() or "unknown"
        file.close()
        raise StoreLocked(
            f"{path}: another controller (process {other}) has this store open; stop it first, or "
            "give this one a store.path of its own"
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n".encode())
    file.flush()
    return file


def _open(path: Path) -> sqlite3.Connection:
    with _told(path):
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            path.chmod(0o600)
        except OSError as error:
            raise StoreFailed(
                f"{path}: cannot be opened: {error.strerror}; let the controller's user write it"
            ) from None
        database = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            _settle(path, database)
        except BaseException:
            database.close()
            raise
        return database


def _settle(path: Path, database: sqlite3.Connection) -> None:
    database.execute("PRAGMA journal_mode = WAL").fetchone()
    database.execute("PRAGMA synchronous = FULL")
    with closing(database.execute("PRAGMA quick_check(1)")) as check:
        (verdict,) = check.fetchone()
    if verdict != "ok":
        raise StoreUnusable(_corrupt(path, " ".join(str(verdict).split())))


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into the store's."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StoreFailed(
            f"{path}: {error}; see to its disk (space, mount, permissions)"
        ) from error
    except sqlite3.DatabaseError as error:
        raise StoreUnusable(_corrupt(path, str(error))) from error


def _corrupt(path: Path, why: str) -> str:
    return (
        f"{path}: the file is damaged ({why}); put a backup of it in its place, or move it away to "
        "begin anew: services whose agents know more than the store are then held for an operator"
    )


def _record(uid: str, revision: int, text: str) -> Record:
    try:
        record = msgspec.json.decode(text, type=Record)
    except (msgspec.DecodeError, ValueError) as error:
        raise StoreUnusable(f"the record of {uid} cannot be read: {error}") from None
    if (record.service_uid, record.revision) != (uid, revision):
        raise StoreUnusable(f"the record of {uid}, revision {revision}, says something else inside")
    return record


def _text(value: msgspec.Struct) -> str:
    return msgspec.json.encode(value).decode()


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
