"""Plans in the SQLite store: their tables, and what is done to them in its transactions.

The tables are made where they are missing, so that a store of the version before takes plans, and
that version still reads the store.
"""

from __future__ import annotations

import sqlite3

import msgspec

from controller.core.plan_model import Plan, PlanChange, PlanKind
from controller.stores import sqlite_lines as lines
from controller.stores.base import PlanLine, Plans, StoredPlan


def _told(key: str) -> str:
    """What a stored plan says under this key; empty where it cannot be read."""
    return f"CASE WHEN json_valid(plan) THEN json_extract(plan, '$.{key}') ELSE '' END"


KIND, SITE, BY_POLICY = _told("kind"), _told("site"), _told("by_policy")
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS plans (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL,
    plan TEXT NOT NULL, begun_at_ms INTEGER NOT NULL, changed_at_ms INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS plan_history (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL,
    plan_id TEXT NOT NULL, change TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS history_of_plan ON plan_history (plan_id, number);
CREATE INDEX IF NOT EXISTS plans_of_kind ON plans ({KIND}, {SITE}, number);
CREATE INDEX IF NOT EXISTS plans_by_policy ON plans ({BY_POLICY}, number)
"""
LEADS = "(SELECT value FROM meta WHERE key = 'term') = ?"


def save(
    database: sqlite3.Connection,
    plan: Plan,
    expected_revision: int,
    term: int,
    changes: tuple[PlanChange, ...],
    now_ms: int,
) -> bool:
    """Within a transaction: replace or insert a plan and note the changes."""
    text = msgspec.json.encode(plan).decode()
    if expected_revision:
        done = database.execute(
            "UPDATE plans SET revision = ?, plan = ?, changed_at_ms = ? "
            f"WHERE id = ? AND revision = ? AND {LEADS}",
            (plan.revision, text, now_ms, plan.id, expected_revision, str(term)),
        )
    else:
        done = database.execute(
            f"INSERT OR IGNORE INTO plans SELECT ?, ?, ?, ?, ?, ? WHERE {LEADS}",
            (plan.number, plan.id, plan.revision, text, now_ms, now_ms, str(term)),
        )
    if done.rowcount != 1:
        return False
    database.executemany(
        "INSERT INTO plan_history (at_ms, plan_id, change) VALUES (?, ?, ?)",
        [(now_ms, plan.id, msgspec.json.encode(change).decode()) for change in changes],
    )
    return True


def forget(database: sqlite3.Connection, kept: int, by_policy: int) -> None:
    """Let all go but the newest; of these are kept, too: the newest of each kind and site, and the
    newest by policy."""
    database.execute(
        f"DELETE FROM plans WHERE number <= "
        "(SELECT number FROM plans ORDER BY number DESC LIMIT 1 OFFSET ?) AND number NOT IN "
        f"(SELECT max(number) FROM plans GROUP BY {KIND}, {SITE}) AND number NOT IN "
        f"(SELECT number FROM plans WHERE {BY_POLICY} = 1 ORDER BY number DESC LIMIT ?)",
        (kept, by_policy),
    )


def newest(database: sqlite3.Connection, limit: int | None, kind: PlanKind | None) -> Plans:
    """The newest plans, newest first."""
    where = "" if kind is None else f"WHERE {KIND} = ?"
    of_kind = () if kind is None else (kind.value,)
    (made,) = database.execute("SELECT coalesce(max(number), 0) FROM plans").fetchone()
    rows = database.execute(
        f"SELECT id, plan, begun_at_ms, changed_at_ms FROM plans {where} "
        "ORDER BY number DESC LIMIT ?",
        (*of_kind, -1 if limit is None else limit),
    ).fetchall()
    plans, broken = [], {}
    for plan_id, text, begun_at_ms, changed_at_ms in rows:
        try:
            plan = msgspec.json.decode(text, type=Plan)
        except (msgspec.DecodeError, ValueError) as error:
            broken[plan_id] = f"the plan {plan_id} cannot be read: {error}"
            continue
        plans.append(StoredPlan(plan, begun_at_ms, changed_at_ms))
    return Plans(plans, int(made), broken)


def one(database: sqlite3.Connection, plan_id: str) -> StoredPlan | None:
    """One plan; None where it is not kept, or cannot be read."""
    row = database.execute(
        "SELECT plan, begun_at_ms, changed_at_ms FROM plans WHERE id = ?", (plan_id,)
    ).fetchone()
    try:
        return StoredPlan(msgspec.json.decode(row[0], type=Plan), *row[1:]) if row else None
    except (msgspec.DecodeError, ValueError):
        return None


def history(database: sqlite3.Connection, plan_id: str | None, limit: int) -> list[PlanLine]:
    """The newest changes, newest first."""
    where = "" if plan_id is None else "WHERE plan_id = ?"
    parameters = (limit,) if plan_id is None else (plan_id, limit)
    rows = database.execute(
        f"SELECT number, at_ms, change FROM plan_history {where} ORDER BY number DESC LIMIT ?",
        parameters,
    ).fetchall()
    return [
        PlanLine(number, at_ms, change)
        for number, at_ms, change in lines.readable("plan_history", PlanChange, rows)
    ]
