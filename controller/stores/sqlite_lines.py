"""What happened beside the services and plans, and the cautions, in the SQLite store.

They were not in its first schema: a store without them gets them when it is opened, and a
controller that does not know them goes on without.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec
import structlog

from controller.core.happening import Happening
from controller.core.site_model import Caution
from controller.stores.base import HappeningLine

log = structlog.get_logger("store")
Line = TypeVar("Line")

CAUTIONS = "cautions"
"""Their key in `meta`."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS happenings (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, happening TEXT NOT NULL
)
"""


def happenings(database: sqlite3.Connection, limit: int) -> list[HappeningLine]:
    """What is no change of a record or a plan, newest first."""
    rows = database.execute(
        "SELECT number, at_ms, happening FROM happenings ORDER BY number DESC LIMIT ?", (limit,)
    ).fetchall()
    return [
        HappeningLine(number, at_ms, happening)
        for number, at_ms, happening in readable("happenings", Happening, rows)
    ]


def readable(
    table: str, kind: type[Line], rows: Iterable[tuple[int, int, str]]
) -> Iterator[tuple[int, int, Line]]:
    """The lines that can be read: one that a later version wrote hides none of the others."""
    for number, at_ms, text in rows:
        try:
            line = msgspec.json.decode(text, type=kind)
        except (msgspec.DecodeError, ValueError) as error:
            log.warning("a line cannot be read", table=table, number=number, problem=str(error))
            continue
        yield number, at_ms, line


def note(database: sqlite3.Connection, told: tuple[Happening, ...], at_ms: int) -> None:
    """Write lines."""
    database.executemany(
        "INSERT INTO happenings (at_ms, happening) VALUES (?, ?)",
        [(at_ms, msgspec.json.encode(one).decode()) for one in told],
    )


def forget(database: sqlite3.Connection, table: str, kept: int) -> None:
    """Of lines with a growing number let all but the newest go."""
    database.execute(
        f"DELETE FROM {table} WHERE number <= (SELECT max(number) FROM {table}) - ?", (kept,)
    )


def keep_cautions(database: sqlite3.Connection, kept: tuple[Caution, ...]) -> None:
    """In the place of those that were kept before."""
    database.execute(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (CAUTIONS, msgspec.json.encode(kept).decode()),
    )


def cautions(database: sqlite3.Connection) -> tuple[Caution, ...]:
    """Those that were kept last; none where they cannot be read."""
    row = database.execute("SELECT value FROM meta WHERE key = ?", (CAUTIONS,)).fetchone()
    try:
        return msgspec.json.decode(row[0], type=tuple[Caution, ...]) if row else ()
    except (msgspec.DecodeError, ValueError):
        return ()
