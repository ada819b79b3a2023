"""A timeline as text: rows of cells, and from them Markdown and HTML for an incident report.

What people, agents and engines wrote stands in the cells, and whoever pastes or opens the report
must not be harmed by it: it is escaped for each form, and control codes are gone before.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from controller.cli.figures import duration, size
from controller.markdown import escape_markdown, markdown_table, one_line
from controller.timeline.gather import is_under_way
from controller.timeline.model import Entry, Move, Place, Timeline

MOVE_HEADS = (
    "Service", "Operation", "Asked by", "From", "To", "Begun (UTC)", "Took", "Outage",
    "Estimated loss", "Outcome",
)  # fmt: skip
ENTRY_HEADS = ("Time (UTC)", "Local", "What", "Change", "Who decided", "Why")
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1b1b1b; background: #fff; margin: 2rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 1.8rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border: 1px solid #c8c8c8; padding: .3rem .5rem; text-align: left; vertical-align: top; }
th { background: #f0f0f0; } td { overflow-wrap: anywhere; }
@media print {
  body { margin: 0; font-size: 10px; } thead { display: table-header-group; }
  tr { break-inside: avoid; } th { background: none; }
}
""".strip()


class Report(NamedTuple):
    """A timeline, laid out: plain text in cells."""

    title: str
    notes: tuple[str, ...]
    moves: list[tuple[str, ...]]
    entries: list[tuple[str, ...]]


class Window(NamedTuple):
    """The time that was asked for, in milliseconds since 1970; 0 where an end is open."""

    begun_ms: int = 0
    ended_ms: int = 0

    def words(self) -> str:
        """`, from 2026-11-30 03:15:30.000 UTC on`; empty where nothing was asked for."""
        begun, ended = (f"{utc(at_ms)} UTC" for at_ms in self)
        if self.begun_ms and self.ended_ms:
            return f", from {begun} to {ended}"
        if self.begun_ms:
            return f", from {begun} on"
        return f", until {ended}" if self.ended_ms else ""


ALL_TIME = Window()


def report(told: Timeline, window: Window = ALL_TIME) -> Report:
    """Lay a timeline out. Its texts are plain already."""
    places = {place.id: place for place in told.places}
    notes = [
        f"Of {told.choice}{window.words()}; made {utc(told.made_at_ms)} UTC from the controller's "
        "history. Local times are those of the site; losses are estimates.",
    ]
    if any(place_of(entry, places) for entry in told.entries):
        zones = ", ".join(f"{place.name}: {place.zone}" for place in told.places)
        notes.append(f"Zones: {zones}.")
    if told.left_out:
        notes.append("There may be more: only the newest lines are shown.")
    if any("(BMKG)" in entry.because for entry in told.entries):
        notes.append("Source of earthquakes marked BMKG: BMKG (Badan Meteorologi, Klimatologi, dan "
                     "Geofisika).")  # fmt: skip
    return Report(
        title=f"Timeline: {told.cluster}",
        notes=tuple(notes),
        moves=[_move_cells(move) for move in told.moves],
        entries=[_entry_cells(entry, places) for entry in told.entries],
    )


def utc(at_ms: int) -> str:
    """`2026-11-30 03:15:30.120`."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return at.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")


def local(at_ms: int, place: Place | None) -> str:
    """`10:15:30 WIB`, with the date where it is another than that of UTC."""
    if place is None:
        return ""
    there, at = datetime.fromtimestamp((at_ms + place.zone.ahead_ms) / 1000, UTC), utc(at_ms)
    day = "" if at.startswith(f"{there:%Y-%m-%d}") else f"{there:%Y-%m-%d} "
    return f"{day}{there:%H:%M:%S} {place.zone}"


def place_of(entry: Entry, places: dict[str, Place]) -> Place | None:
    """Where its people look at the clock: the first site that it is about."""
    return next((places[site] for site in entry.sites if site in places), None)


def who(entry: Entry) -> str:
    """Who decided, and what he said."""
    return f"{entry.by}: {entry.reason}" if entry.reason else entry.by


def why(entry: Entry) -> str:
    """The sentence, with the figures of this very change."""
    extra = []
    if entry.outage_ms >= 0:
        extra.append(f"outage {duration(entry.outage_ms)}")
    if entry.loss_bytes >= 0:
        extra.append(f"estimated loss {size(entry.loss_bytes)}")
    return f"{entry.because} ({', '.join(extra)})" if extra else entry.because


def markdown(laid: Report) -> str:
    """Tables that can be pasted into a report."""
    lines = [f"# {escape_markdown(laid.title)}", ""]
    for note in laid.notes:
        lines += [escape_markdown(note), ""]
    if laid.moves:
        lines += ["## Operations", "", *markdown_table(MOVE_HEADS, laid.moves), ""]
    lines += ["## What happened", ""]
    lines += markdown_table(ENTRY_HEADS, laid.entries) if laid.entries else ["Nothing."]
    return "\n".join(lines) + "\n"


def page(laid: Report) -> str:
    """One HTML file that needs nothing from elsewhere and runs nothing."""
    title = html.escape(one_line(laid.title))
    notes = "\n".join(f"<p>{html.escape(one_line(note))}</p>" for note in laid.notes)
    moves = f"<h2>Operations</h2>\n{_html_table(MOVE_HEADS, laid.moves)}" if laid.moves else ""
    nothing = "<p>Nothing.</p>"
    entries = _html_table(ENTRY_HEADS, laid.entries) if laid.entries else nothing
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{STYLE}
</style>
</head>
<body>
<h1>{title}</h1>
{notes}
{moves}
<h2>What happened</h2>
{entries}
</body>
</html>
"""


def _move_cells(move: Move) -> tuple[str, ...]:
    asked = f"{move.by}: {move.reason}" if move.reason else move.by
    took = "" if is_under_way(move) else duration(max(0, move.ended_at_ms - move.begun_at_ms))
    return (
        move.service,
        f"{move.kind} {move.id}",
        asked,
        move.from_site,
        move.to_site,
        utc(move.begun_at_ms),
        took,
        duration(move.outage_ms) if move.outage_ms >= 0 else "",
        size(move.loss_bytes) if move.loss_bytes >= 0 else "",
        move.outcome,
    )


def _entry_cells(entry: Entry, places: dict[str, Place]) -> tuple[str, ...]:
    what = entry.subject if entry.about == "service" else f"{entry.about} {entry.subject}"
    at = local(entry.at_ms, place_of(entry, places))
    return utc(entry.at_ms), at, what, entry.change, who(entry), why(entry)


def _html_table(heads: Iterable[str], rows: list[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in heads)
    body = "\n".join(f"<tr>{_html_cells(row)}</tr>" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _html_cells(row: tuple[str, ...]) -> str:
    return "".join(f"<td>{html.escape(one_line(cell))}</td>" for cell in row)
