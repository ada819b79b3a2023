"""`saling timeline`: what happened, for people, programs and incident reports."""

from __future__ import annotations

import re
import sys
import time
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.text import Text

from config.problems import Refused
from config.values import parse_duration
from controller.cli.exits import CommandFailed, Exit
from controller.cli.options import Reach, bundled
from controller.cli.output import Output, answers, data_console, print_json, say
from controller.cli.table import Below
from controller.cli.timeline_text import Report, Window, markdown, page, report
from controller.cli.wire import read
from controller.timeline.model import Timeline

PAST = re.compile(r"[0-9.]+ ?[a-z]+")


class Form(StrEnum):
    """In which form it is printed."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"
    HTML = "html"


@bundled
def timeline(
    *,
    last: Annotated[
        bool,
        typer.Option(
            "--last",
            help="The last operation or incident: from when the service that changed last had left "
            "PROTECTED, with those that left it within ten minutes of another or by the same plan, "
            "what else happened meanwhile, and the ten minutes before. Where no service ever "
            "changed: the last line, with all of its plan.",
        ),
    ] = False,
    operation: Annotated[
        str, typer.Option(help="One operation, by its id, as `history` shows it.")
    ] = "",
    plan: Annotated[str, typer.Option(help="One plan, by its id, as `plan list` shows it.")] = "",
    service: Annotated[str, typer.Option(help="One service.")] = "",
    site: Annotated[str, typer.Option(help="What concerns one site.")] = "",
    since: Annotated[str, typer.Option(help="From then on: 2h, or a time in ISO 8601.")] = "",
    until: Annotated[str, typer.Option(help="Until then: 30m, or a time in ISO 8601.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=2000, help="How many lines, the newest.")] = 200,
    form: Annotated[
        Form, typer.Option("--format", "--output", "-o", help="For people, programs, reports.")
    ] = Form.TABLE,
    reach: Reach,
) -> None:
    """What happened, when, who or what decided it, and why; the oldest first."""
    with answers(Output.JSON if form is Form.JSON else Output.TABLE):
        named = {"operation": operation, "plan": plan, "service": service, "site": site}
        query = [(key, value) for key, value in named.items() if value]
        if last:
            if operation or plan or since or until:
                text = "--last chooses the time by itself: leave the others out"
                raise CommandFailed(text, Exit.USAGE)
            query.append(("last", "true"))
        now_ms = time.time_ns() // 1_000_000
        begun_ms = read_moment(since, "--since", now_ms) if since else 0
        ended_ms = read_moment(until, "--until", now_ms) if until else now_ms
        if until and ended_ms < begun_ms:
            text = "--until is before --since, so that nothing lies between them; change them over"
            raise CommandFailed(text, Exit.USAGE)
        query += [("since_ms", str(begun_ms))] if since else []
        query += [("until_ms", str(ended_ms))] if until else []
        raw = reach.client().timeline([*query, ("limit", str(limit))])
        if form is Form.JSON:
            print_json(raw)
            return
        window = Window(begun_ms if since else 0, ended_ms if until else 0)
        _print(read(raw, Timeline, "timeline"), form, window)


def read_moment(text: str, option: str, now_ms: int) -> int:
    """`2h` ago, or a time in ISO 8601, local without a zone. Raises CommandFailed."""
    if PAST.fullmatch(text.strip()):
        try:
            return max(0, now_ms - parse_duration(text))
        except Refused as error:
            raise CommandFailed(f"{option} {text[:40]!a}: {error}", Exit.USAGE) from None
    try:
        at_ms = int(datetime.fromisoformat(text.strip()).timestamp() * 1000)
    except (ValueError, OverflowError):
        at_ms = -1
    if at_ms < 0:
        raise CommandFailed(
            f"{option} {text[:40]!a}: is no time; write it like 2h, or 2026-11-30T14:05:00+07:00",
            Exit.USAGE,
        )
    return at_ms


def _print(told: Timeline, form: Form, window: Window) -> None:
    laid = report(told, window)
    if form is Form.TABLE:
        _print_table(data_console(), laid)
        return
    sys.stdout.write(markdown(laid) if form is Form.MARKDOWN else page(laid))
    sys.stdout.flush()
    if told.left_out:
        say("there may be more: only the newest lines are shown", "yellow")


def _print_table(console: Console, laid: Report) -> None:
    console.print(Text(laid.title, style="bold"))
    for note in laid.notes:
        console.print(Text(note))
    for move in laid.moves:
        console.print(_move(move))
    if not laid.entries:
        console.print(Text("nothing happened"))
        return
    for row in laid.entries:
        at, there, what, change, who, why = row
        when = f"{at} UTC  {there}  " if there else f"{at} UTC  "
        console.print(Text.assemble(when, (what, "bold")))
        console.print(Below(Text(f"{change}: {why} [{who}]")))


def _move(row: tuple[str, ...]) -> Group:
    """An operation: what it was and how it ended, below it whence, whither and at what cost."""
    service, operation, asked, source, target, begun, took, outage, loss, outcome = row
    costs = [
        f"{name} {figure}"
        for name, figure in (("took", took), ("outage", outage), ("estimated loss", loss))
        if figure
    ]
    told = ", ".join([f"{source} to {target}, begun {begun} UTC", *costs])
    head = Text.assemble((service, "bold"), f"  {operation}: {outcome}")
    return Group(head, Below(Text(f"{told} [asked by {asked}]")))
