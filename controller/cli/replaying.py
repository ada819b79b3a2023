"""`saling replay`: whether the rules decide again what a journal says that they decided."""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import msgspec
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from controller.cli.exits import CommandFailed, Exit
from controller.cli.figures import moment
from controller.cli.output import Output, data_console, note_console, print_json
from controller.cli.plain import plain
from controller.core.decided import Decided
from controller.core.events import Event, RecordRead, RenewCame, ReportCame, Requested, Tick
from controller.journal import JournalUnreadable
from controller.replay import Difference, NoJournal, Replayed, journal_files, replay


def replay_journal(place: Path, until: str | None, service: str | None, output: Output) -> Exit:
    """Replay it and say what came of it."""
    until_ms = None if until is None else read_moment(until)
    try:
        paths = journal_files(place)
        told = _with_progress(paths, until_ms, service or "")
    except NoJournal as error:
        raise CommandFailed(str(error), Exit.USAGE) from None
    except (JournalUnreadable, OSError) as error:
        raise CommandFailed(str(error)) from None
    if output is Output.JSON:
        print_json(_document(told))
    else:
        for line in _lines(told):
            data_console().print(plain(line), soft_wrap=True)
    if told.difference is not None:
        return Exit.ERROR
    return Exit.OK if told.identical else Exit.DEGRADED


def read_moment(text: str) -> int:
    """Wall time in ISO 8601 as milliseconds since 1970; local where no zone is given."""
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise CommandFailed(
            f"--until {text[:80]!a}: is no time; write it like 2026-11-24T14:05:00+07:00",
            Exit.USAGE,
        ) from None


def _with_progress(paths: list[Path], until_ms: int | None, service: str) -> Replayed:
    columns = (TextColumn("replaying"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = note_console()
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("replaying", total=sum(path.stat().st_size for path in paths))
        return replay(paths, until_ms, lambda size_bytes: bar.advance(task, size_bytes), service)


def _lines(told: Replayed) -> list[str]:
    if told.difference is not None:
        return [*_difference(told.difference), *_other_versions(told), *_figures(told)]
    if told.too_old:
        names = ", ".join(told.too_old)
        head = (
            "not all could be compared: these files are too old to hold what was decided on each "
            f"event: {names}. What could be compared came out identical."
        )
        return [head, *_figures(told)]
    if not told.events:
        return ["no event is recorded there, so there was nothing to compare", *_figures(told)]
    return ["every decision came out identical", *_figures(told)]


def _other_versions(told: Replayed) -> list[str]:
    own = installed("saling")
    others = [version for version in told.versions if version != own]
    if not others:
        return []
    text = f"the rules are those of version {own}, the journal is by {', '.join(others)}"
    return [f"  {text}: a rule may have been changed in between"]


def _figures(told: Replayed) -> list[str]:
    writers = ", ".join(told.versions) or "nobody"
    torn = [f"the last line of {name} is torn, and left out" for name in told.torn]
    return [
        *torn,
        f"{told.files} files by version {writers}, {told.events} events, {told.compared} compared, "
        f"{told.changes} changes of a service decided again",
    ]


def _difference(found: Difference) -> list[str]:
    lines = [
        f"the rules decide otherwise than was recorded at {found.file}:{found.line}",
        f"  when: {moment(found.at_ms)} (clock of the rules: {found.now_ms} ms)",
        f"  event: {event_words(found.event)}",
        *_decided("recorded", found.recorded),
    ]
    if found.error:
        return [*lines, f"  now: the rules could not handle it: {found.error}"]
    return [*lines, *_decided("now", found.now)]


def _decided(title: str, what: Decided) -> list[str]:
    changes = [
        f"{c.service}: {c.from_phase} to {c.to_phase} (revision {c.revision}): {c.because}"
        for c in what.changes
    ]
    said = ", ".join(what.actions) or "nothing"
    return [f"  {title}: {text}" for text in (*changes, f"in all {said}")]


def event_words(event: Event) -> str:
    """An event in a few words."""
    match event:
        case Tick():
            return "time went by"
        case ReportCame():
            return f"{event.report.header.sender} reported"
        case RenewCame():
            return f"{event.renew.header.sender} asked for leases"
        case RecordRead():
            return f"{event.record.service} was read from the store for {event.agent}"
        case Requested():
            return f"{event.by} asked for {event.kind.value}"


def _document(told: Replayed) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(told)
    return {"identical": told.identical, **document}
