"""`saling drill`: a site is left and gone back to, to see whether that works; and the reports."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from msgspec import Struct

from controller.cli.client import DEFAULT_URL, Client
from controller.cli.exits import CommandFailed, Exit
from controller.cli.options import (
    By,
    DespiteCaution,
    DryRun,
    Form,
    NoWait,
    Reason,
    TokenFile,
    Where,
    Yes,
)
from controller.cli.output import Output, answers, data_console, print_json, say
from controller.cli.plain import plain
from controller.cli.planning import AtOnce, Ended, Long, Manner, Wish, move_site
from controller.cli.wire import DrillView, read

LAST = "last"
PASSED = "passed"


class Report(Struct, frozen=True):
    """As far as the command reads it."""

    id: str
    verdict: str
    markdown: str


class DrillLine(Struct, frozen=True):
    """One drill that was."""

    id: str
    site: str
    begun_at: str
    verdict: str
    because: str = ""


class Drills(Struct, frozen=True):
    """How each site stands, and the newest drills."""

    sites: tuple[DrillView, ...]
    drills: tuple[DrillLine, ...]


def drill(
    site: Annotated[
        str | None, typer.Argument(metavar="[SITE]", help="Or with --report: a drill's id.")
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="The report of a drill, the last if none is named.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="Drills that were, and are due.")] = False,
    at_once: AtOnce = 0,
    despite_caution: DespiteCaution = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    no_wait: NoWait = False,
    timeout: Long = 7200.0,
    by: By = "",
    reason: Reason = "",
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Evacuate a site, look, bring everything back, and report. Nothing is lost. 3: it failed."""
    with answers(output):
        client = Client(controller, token_file)
        if listed:
            _list(client, output)
            return
        if report:
            raise typer.Exit(_report(client, site or LAST, output))
        if site is None:
            text = "name a SITE to drill, or give --list or --report; nothing was done"
            raise CommandFailed(text, Exit.USAGE)
        flags = {"at_once": at_once, "despite_caution": despite_caution}
        wish = Wish("drill", site, by, reason, flags)
        manner = Manner(yes, dry_run, not no_wait, timeout, output)
        ended = move_site(client, wish, manner)
        if dry_run or no_wait or not ended.plan:
            raise typer.Exit(ended.exit)
        raise typer.Exit(_tell_report(client, ended, output))


def _tell_report(client: Client, ended: Ended, output: Output) -> Exit:
    """After a drill that was watched, of this very drill."""
    raw = client.drill(ended.plan)
    told = read(raw, Report, "report")
    if output is Output.TABLE:
        sys.stdout.write(_in_lines(raw))
    say(f"the report is kept: saling drill --report {told.id}")
    return Exit.DEGRADED if ended.exit is Exit.OK and told.verdict != PASSED else ended.exit


def _in_lines(raw: Any) -> str:
    """The Markdown of a report, whose line breaks are its own."""
    return "\n".join(plain(raw["markdown"].split("\n")))


def _report(client: Client, name: str, output: Output) -> Exit:
    raw = client.drill(name)
    told = read(raw, Report, "report")
    if output is Output.JSON:
        print_json(raw)
    else:
        sys.stdout.write(_in_lines(raw))
    return Exit.OK if told.verdict == PASSED else Exit.DEGRADED


def _list(client: Client, output: Output) -> None:
    raw = client.drills()
    if output is Output.JSON:
        print_json(raw)
        return
    told, console = read(raw, Drills, "drills"), data_console()
    for one in told.sites:
        console.print(_site(one), soft_wrap=True)
    for line in told.drills:
        text = f"{line.begun_at}  {line.id}  {line.verdict}  {line.because}"
        console.print(text.rstrip(), soft_wrap=True)
    if not told.sites and not told.drills:
        console.print("no drill was made, and none is scheduled (`drills` in the configuration)")


def _site(one: DrillView) -> str:
    passed: Any = f"passed {one.passed_at}" if one.passed_at else "none passed yet"
    due = f", due {one.next_at}" if one.next_at else ", not scheduled"
    late = ", OVERDUE" if one.overdue else ""
    skipped = f"; the last one that was due was not begun: {one.skipped}" if one.skipped else ""
    return f"site {one.site}: {passed}{due}{late}{skipped}"
