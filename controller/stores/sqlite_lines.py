"""The history by time, and the cautions, in the SQLite store.

They were not in its first schema: a store without them gets them when it is opened, and a
controller that does not know them goes on without.
"""

from __future__ import annotations

import sqlite3

import msgspec

from controller.core.happening import Happening
from controller.core.model import Transition
from controller.core.sites.model import Caution
from controller.stores.base import HappeningLine, HistoryLine, Span

LOOKED_AT = 5_000
"""A time is looked for in so many lines, the newest: it has no index, and who asks for it must not
hold up a change."""

CAUTIONS = "cautions"
"""Their key in `meta`."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS happenings (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, happening TEXT NOT NULL
)
"""


def changes(database: sqlite3.Connection, span: Span) -> list[HistoryLine]:
    """The newest changes of all services within a time, newest first."""
    return [
        HistoryLine(number, at_ms, msgspec.json.decode(text, type=Transition))
        for number, at_ms, text in _within(database, "history", "transition", span)
    ]


def happenings(database: sqlite3.Connection, span: Span) -> list[HappeningLine]:
    """What else happened within a time, newest first."""
    return [
        HappeningLine(number, at_ms, msgspec.json.decode(text, type=Happening))
        for number, at_ms, text in _within(database, "happenings", "happening", span)
    ]


def note(database: sqlite3.Connection, told: tuple[Happening, ...], at_ms: int) -> None:
    """Write lines."""
    database.executemany(
        "INSERT INTO happenings (at_ms, happening) VALUES (?, ?)",
        [(at_ms, msgspec.json.encode(one).decode()) for one in told],
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


def _within(
    database: sqlite3.Connection, table: str, column: str, span: Span
) -> list[tuple[int, int, str]]:
    return database.execute(
        f"SELECT number, at_ms, {column} FROM {table} WHERE number > "
        f"(SELECT coalesce(max(number), 0) FROM {table}) - ? AND at_ms BETWEEN ? AND ? "
        "ORDER BY number DESC LIMIT ?",
        (LOOKED_AT, span.since_ms, span.until_ms, span.limit),
    ).fetchall()
