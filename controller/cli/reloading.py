"""`saling reload`: the controller reads its configuration file anew."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from controller.cli.exits import CommandFailed
from controller.cli.options import DryRun, Said, Session, bundled
from controller.cli.output import Output, data_console, note_console, print_json, say
from controller.cli.wire import Finding, Reloaded, read


@bundled
def reload(dry_run: DryRun = False, *, said: Said, session: Session) -> None:
    """Let the controller read its file anew, and say what that does. All of it, or the old stays.

    Exits with 2 where the file cannot be used, with 4 where a safety rule refuses it.
    """
    output = session.output
    try:
        raw = session.client().ask("reload", None, said.body(dry_run=dry_run))
    except CommandFailed as error:
        if output is Output.TABLE and isinstance(error.body, dict) and "sha256" in error.body:
            _print(note_console(), read(error.body, Reloaded, "answer"))
        raise
    if output is Output.JSON:
        print_json(raw)
        return
    _print(data_console(), read(raw, Reloaded, "answer"))


def _print(console: Console, told: Reloaded) -> None:
    def line(text: str) -> None:
        console.print(text, soft_wrap=True)

    line(f"{told.file} ({told.sha256[:12] or 'not readable'}): {told.text}")
    for change in told.changes:
        line(f"  {' '.join(filter(None, (change.kind, change.name)))}: {change.text}")
    for key in told.waits_for_restart:
        line(f"  {key}: is taken by a restart of the controller only, and stays as it is")
    for finding in told.findings:
        say(_finding(told.file, finding), "red" if finding.severity == "error" else "yellow")


def _finding(file: str, found: Finding) -> str:
    place = f"{file}:{found.line}" if found.line else file
    key: Any = f"{found.key} = {found.value}: " if found.value else f"{found.key}: "
    middle = key if found.key else ""
    return f"{found.severity}: {place}: {middle}{found.message}\n  mend: {found.mend}"
