"""The report of a quarantine, for a human (report.txt) and for programs (report.json)."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from agents.engines.pg_directory import write_whole

NAMES_IN_TEXT_AT_MOST = 200


class Relation(Struct, frozen=True):
    """A relation that a committed transaction changed. `file`: tablespace/database/file."""

    file: str
    name: str = ""
    """Empty where it could not be told; `names_missing` of the report says why."""


class Report(Struct, frozen=True, kw_only=True):
    """What a quarantine holds. Positions are PostgreSQL's (LSN), times are UTC."""

    service: str
    system_identifier: str
    upstream: str
    old_timeline: int
    new_timeline: int
    fork: str
    end: str
    """Where the last record begins, or the last page ends where nothing could be counted."""
    bytes: int
    """So much log after the fork is kept."""
    whole_log: bool = True
    """False when some log after the fork was gone or could not be read."""
    transactions: int | None = None
    """Committed after the fork, without Saling's own probes; null where not counted."""
    own_probes: int = 0
    not_counted: str = ""
    """Why the transactions are not known, or not all of them."""
    first_commit: str = ""
    last_commit: str = ""
    relations: tuple[Relation, ...] = ()
    names_missing: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    whole_data_directory: bool = False
    read_with: tuple[tuple[str, ...], ...] = ()
    """Arguments of pg_waldump behind the path of pg_wal, one list a timeline."""
    program: str = "pg_waldump"


def write_json(directory: Path, report: Report) -> None:
    """On disk when it returns."""
    raw = msgspec.json.format(msgspec.json.encode(report), indent=2)
    write_whole(directory / "report.json", raw.decode() + "\n")


def read_report(directory: Path) -> Report | None:
    """None where none is, or where it cannot be read."""
    try:
        return msgspec.json.decode((directory / "report.json").read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError):
        return None


def text_of(report: Report, place: Path) -> str:
    """The same in words, with the lines that read it."""
    return "\n".join([*_head(report), *_relations(report), *_how_to_read(report, place), ""])


def _head(report: Report) -> list[str]:
    counted = "not counted: " + report.not_counted
    if report.transactions is not None:
        counted = f"{report.transactions} (and {report.own_probes} of Saling's own probes)"
        if report.not_counted:
            counted = f"at least {counted}: {report.not_counted}"
    span = "none"
    if report.first_commit:
        span = f"{report.first_commit} to {report.last_commit}"
    return [
        f"What the old primary of {report.service} wrote and {report.upstream} never had",
        "",
        f"System identifier        {report.system_identifier}",
        f"Timeline, old and new    {report.old_timeline} and {report.new_timeline}",
        f"The log forks at         {report.fork}",
        f"The old log ends at      {report.end} ({report.bytes} bytes after the fork are kept)",
        f"Transactions committed   {counted}",
        f"Committed from, to       {span}",
        f"Kept                     {len(report.files)} segments of log, the .history files, "
        "global/pg_control"
        + (", and the whole data directory in data/" if report.whole_data_directory else ""),
    ]


def _relations(report: Report) -> list[str]:
    if report.transactions is None:
        return []
    lines = ["", "Relations changed (tablespace/database/file)"]
    for relation in report.relations[:NAMES_IN_TEXT_AT_MOST]:
        lines.append(f"  {relation.file}  {relation.name or '(no name)'}")
    if (more := len(report.relations) - NAMES_IN_TEXT_AT_MOST) > 0:
        lines.append(f"  and {more} more, see report.json")
    if not report.relations:
        lines.append("  none")
    lines += [f"  no name: {reason}" for reason in report.names_missing]
    return lines


def _how_to_read(report: Report, place: Path) -> list[str]:
    lines = ["", "To read it"]
    for arguments in report.read_with:
        lines.append(f"  {report.program} -p {place}/pg_wal {' '.join(arguments)}")
    if report.whole_data_directory:
        lines.append(f"  or start a copy of {place}/data on another port and query it")
    lines += [
        "",
        "pg_waldump ends with an error where the log ends; that is as it should be.",
        "Saling never removes this directory. Remove it when nobody needs what it holds.",
    ]
    return lines
