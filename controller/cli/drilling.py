"""`saling drill`: a site is left and gone back to, to see whether that works; and the reports."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from msgspec import Struct

from controller.cli.client import Client
from controller.cli.exits import CommandFailed, Exit
from controller.cli.options import DrillManner, Said, Session, SiteFlags, bundled
from controller.cli.output import Output, data_console, print_json, say
from controller.cli.plain import plain
from controller.cli.site_moves import Ended, Wish, move_site
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


@bundled
def drill(
    site: Annotated[
        str | None, typer.Argument(metavar="[SITE]", help="Or with --report: a drill's id.")
    ] = None,
    *,
    report: Annotated[
        bool, typer.Option("--report", help="The report of a drill, the last if none is named.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="Drills that were, and are due.")] = False,
    flags: SiteFlags,
    manner: DrillManner,
    said: Said,
    session: Session,
) -> Exit:
    """Evacuate a site, look, bring everything back, and report. Nothing is lost. 3: it failed."""
    client, output = session.client(), session.output
    if listed:
        return _list(client, output)
    if report:
        return _report(client, site or LAST, output)
    if site is None:
        text = "name a SITE to drill, or give --list or --report; nothing was done"
        raise CommandFailed(text, Exit.USAGE)
    ended = move_site(session, Wish("drill", site, said, flags), manner)
    if manner.dry_run or manner.no_wait or not ended.plan:
        return ended.exit
    return _tell_report(client, ended, output)


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


def _list(client: Client, output: Output) -> Exit:
    raw = client.drills()
    if output is Output.JSON:
        print_json(raw)
        return Exit.OK
    told, console = read(raw, Drills, "drills"), data_console()
    for one in told.sites:
        console.print(_site(one), soft_wrap=True)
    for line in told.drills:
        text = f"{line.begun_at}  {line.id}  {line.verdict}  {line.because}"
        console.print(text.rstrip(), soft_wrap=True)
    if not told.sites and not told.drills:
        console.print("no drill was made, and none is scheduled (`drills` in the configuration)")
    return Exit.OK


def _site(one: DrillView) -> str:
    passed: Any = f"passed {one.passed_at}" if one.passed_at else "none passed yet"
    due = f", due {one.next_at}" if one.next_at else ", not scheduled"
    late = ", OVERDUE" if one.overdue else ""
    skipped = f"; the last one that was due was not begun: {one.skipped}" if one.skipped else ""
    return f"site {one.site}: {passed}{due}{late}{skipped}"
