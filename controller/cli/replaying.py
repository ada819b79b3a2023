"""`saling replay`: whether the rules decide again what a journal says that they decided."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from controller.cli.exits import CommandFailed, Exit
from controller.cli.figures import counted, moment
from controller.cli.output import Output, data_console, folded, note_console, print_json
from controller.cli.plain import plain
from controller.core.decided import Decided
from controller.core.events import (
    Cautioned,
    CautionEnded,
    Configured,
    Event,
    PlanAsked,
    RecordRead,
    RenewCame,
    ReportCame,
    Requested,
    Tick,
)
from controller.journal import JournalUnreadable
from controller.replay import (
    Damage,
    Difference,
    Gap,
    NoJournal,
    Replayed,
    journal_files,
    replay,
)
from controller.version import installed_version


def replay_journal(place: Path, until: str | None, service: str | None, output: Output) -> Exit:
    """Replay it and say what came of it."""
    until_ms = None if until is None else read_moment(until)
    try:
        paths = journal_files(place)
        told = _with_progress(paths, until_ms, service or "")
    except NoJournal as error:
        raise _failed(error.where, error.problem, error.mend, Exit.USAGE) from None
    except (JournalUnreadable, OSError) as error:
        mend = "let this user read it, and ask again if it was removed meanwhile"
        raise _failed("JOURNAL", str(error), mend, Exit.ERROR) from None
    if output is Output.JSON:
        print_json(_document(told))
    else:
        for line in _lines(told):
            data_console().print(folded(plain(line), "    "), soft_wrap=True)
    if told.difference is not None or told.damage is not None:
        return Exit.ERROR
    return Exit.OK if told.identical else Exit.DEGRADED


def read_moment(text: str) -> int:
    """Wall time in ISO 8601 as milliseconds since 1970; local where no zone is given."""
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise _failed(
            "--until",
            f"{text[:80]!a} is no time",
            "write it like 2026-11-24T14:05:00+07:00",
            Exit.USAGE,
        ) from None


def _failed(where: str, problem: str, mend: str, code: Exit) -> CommandFailed:
    """Nothing was replayed: for people, and as the document for programs."""
    text = "\n".join([folded(f"{where}: {problem}"), folded(f"  mend: {mend}", "    ")])
    return CommandFailed(text, code, {"error": problem, "where": where, "mend": mend})


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
    if told.damage is not None:
        return [*_damage(told.damage, told), *_figures(told)]
    if told.missing or told.too_old:
        head = "not all could be compared; what could be came out identical"
        return [head, *_figures(told)]
    if not told.events:
        return ["no event is recorded there, so there was nothing to compare", *_figures(told)]
    return ["every decision came out identical", *_figures(told)]


def _other_versions(told: Replayed) -> list[str]:
    own = installed_version()
    others = [version for version in told.versions if version != own]
    if not others:
        return []
    text = f"the rules are those of version {own}, the journal is by {', '.join(others)}"
    return [f"  {text}: a rule may have been changed in between"]


def _figures(told: Replayed) -> list[str]:
    writers = ", ".join(told.versions) or "nobody"
    return [
        *(_gap(gap) for gap in told.missing),
        *(f"too old to hold what was decided on each event: {name}" for name in told.too_old),
        *(f"the last line of {name} is torn, and left out" for name in told.torn),
        f"{counted(told.files, 'file')} by version {writers}, {counted(told.events, 'event')}, "
        f"{told.compared} compared, {counted(told.changes, 'change')} of a service decided again",
    ]


def _damage(found: Damage, told: Replayed) -> list[str]:
    before = "every decision before it came out identical"
    if told.compared < told.events:
        before = f"of {counted(told.events, 'event')} before it {told.compared} could be compared"
    if not told.compared:
        before = "no decision before it could be compared"
    return [
        f"damaged at {found.file}:{found.line}",
        f"  {found.problem}",
        f"  {before}",
        f"  mend: {found.mend}",
    ]


def _gap(gap: Gap) -> str:
    if gap.lines:
        return (
            f"{counted(gap.lines, 'line')} missing after the end of {gap.first}, as the beginning "
            f"of {gap.last} counts: the disk was full or too slow then, or the file was cut since"
        )
    files = gap.first if gap.first == gap.last else f"{gap.first} to {gap.last}"
    return f"missing between others: {files}"


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
        case Configured():
            return f"the configuration was read anew, with {counted(len(event.specs), 'service')}"
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
        case PlanAsked():
            what = f"the {event.kind.value} of {event.site}" if event.site else "the plan"
            return f"{event.by} asked to {event.act.value} {what}"
        case Cautioned():
            return f"care was asked for at {', '.join(c.site for c in event.cautions) or 'no site'}"
        case CautionEnded():
            return f"{event.by} ended cautions at {event.site}"


def _document(told: Replayed) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(told)
    return {"identical": told.identical, **document}
