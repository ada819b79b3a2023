"""Whole sites: evacuate, failover-site, failback; and the plan: show, list, pause, resume, end."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from msgspec import Struct
from rich.text import Text

from controller.cli.client import DEFAULT_URL, Client
from controller.cli.exits import CommandFailed, Exit, Refused, Unreachable
from controller.cli.moves import ask_reason
from controller.cli.options import (
    By,
    DespiteCaution,
    DryRun,
    Form,
    NoWait,
    OverCapacity,
    Reason,
    TokenFile,
    Where,
    Yes,
)
from controller.cli.output import Output, answers, data_console, note_console, print_json, say
from controller.cli.plan_view import (
    PlanList,
    PlanView,
    PresentPlan,
    change_text,
    moves_nothing_now,
    plan_line,
    plan_view,
    print_preview,
)
from controller.cli.wire import read
from controller.core.foresight.preview import Preview
from controller.core.gates.maintenance import span
from controller.core.plan_model import PlanStatus
from controller.core.plans.going import TRIES_AT_MOST, TRIES_TAKE_MS

POLL_S = 0.5
PROGRESS_S = 5.0
ENDS = {
    PlanStatus.DONE: Exit.OK,
    PlanStatus.ENDED: Exit.DEGRADED,
    PlanStatus.WAITING: Exit.DEGRADED,
    PlanStatus.RUNNING: Exit.ERROR,
    PlanStatus.PAUSED: Exit.ERROR,
}
OVER = (PlanStatus.DONE, PlanStatus.ENDED, PlanStatus.WAITING)

commands = typer.Typer(
    help="The plan by which a site is moved: show, pause, resume, end.", no_args_is_help=True
)
Site = Annotated[str, typer.Argument(metavar="SITE", help="Name of the site.")]
AtOnce = Annotated[
    int,
    typer.Option("--at-once", min=0, max=100, help="How many groups at the same time."),
]
Now = Annotated[bool, typer.Option("--now", help="Also within the dwell time.")]
Long = Annotated[
    float, typer.Option("--timeout", min=0.1, max=604800, help="For how many seconds to watch it.")
]
Named = Annotated[str | None, typer.Argument(metavar="[PLAN]", help="Id of one plan.")]


class Began(Struct, frozen=True):
    """The answer to who asks for a plan; `plan` is empty where there is nothing to do."""

    text: str
    plan: str = ""
    preview: Preview | None = None


@dataclass(frozen=True)
class Wish:
    """What an operator asks of a site."""

    kind: str
    site: str
    by: str
    reason: str
    flags: dict[str, Any] = field(default_factory=dict)

    def body(self, **more: Any) -> dict[str, Any]:
        """As the API takes it."""
        given = {key: value for key, value in self.flags.items() if value}
        return {"by": self.by, "reason": self.reason, **given, **more}


@dataclass(frozen=True)
class Ended:
    """How the command ends, and the plan that it began; empty where it began none."""

    exit: Exit
    plan: str = ""


@dataclass(frozen=True)
class Manner:
    """How it is asked and watched."""

    yes: bool
    dry_run: bool
    wait: bool
    timeout_s: float
    output: Output


def evacuate(
    site: Site,
    at_once: AtOnce = 0,
    over_capacity: OverCapacity = False,
    despite_caution: DespiteCaution = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    no_wait: NoWait = False,
    timeout: Long = 3600.0,
    by: By = "",
    reason: Reason = "",
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Move all services away from a site, in order. Nothing is lost. 3: some are left."""
    flags = _flags(at_once, over_capacity, despite_caution)
    wish = Wish("evacuate", site, by, reason, flags)
    manner = Manner(yes, dry_run, not no_wait, timeout, output)
    _run(Client(controller, token_file), wish, manner)


def fail_site_over(
    site: Site,
    at_once: AtOnce = 0,
    over_capacity: OverCapacity = False,
    despite_caution: DespiteCaution = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    no_wait: NoWait = False,
    timeout: Long = 3600.0,
    by: By = "",
    reason: Reason = "",
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Move all services away from a site that is not reached. They may lose data, within bounds."""
    flags = _flags(at_once, over_capacity, despite_caution)
    wish = Wish("failover", site, by, reason, flags)
    manner = Manner(yes, dry_run, not no_wait, timeout, output)
    _run(Client(controller, token_file), wish, manner)


def fail_back(
    site: Site,
    now: Now = False,
    at_once: AtOnce = 0,
    over_capacity: OverCapacity = False,
    despite_caution: DespiteCaution = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    no_wait: NoWait = False,
    timeout: Long = 3600.0,
    by: By = "",
    reason: Reason = "",
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Move those services back to a site that prefer it. Nothing is lost."""
    flags = {**_flags(at_once, over_capacity, despite_caution), "now": now}
    wish = Wish("failback", site, by, reason, flags)
    manner = Manner(yes, dry_run, not no_wait, timeout, output)
    _run(Client(controller, token_file), wish, manner)


@commands.command("show")
def show(
    plan: Named = None,
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """The plan under way, or the one that is named, with its steps. 3: it waits."""
    with answers(output):
        raw = Client(controller, token_file).plan(plan)
        shown = read(raw, PresentPlan, "plan").plan if plan is None else read(raw, PlanView, "plan")
        if output is Output.JSON:
            print_json(raw)
        elif shown is None:
            data_console().print("no plan is under way; past ones: saling plan list")
        else:
            data_console().print(plan_view(shown))
        waits = shown is not None and shown.status is PlanStatus.WAITING
        raise typer.Exit(Exit.DEGRADED if waits else Exit.OK)


@commands.command("list")
def list_plans(
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many, the newest.")] = 20,
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """The newest plans, the newest first."""
    with answers(output):
        raw = Client(controller, token_file).plans(limit)
        if output is Output.JSON:
            print_json(raw)
            return
        shown = read(raw, PlanList, "plans").plans
        for one in shown:
            line = Text(f"{one.begun_at}  ").append_text(plan_line(one))
            data_console().print(line, soft_wrap=True)
        if not shown:
            data_console().print("no plan was made yet")


@commands.command("pause")
def pause(
    plan: Named = None,
    by: By = "",
    reason: Reason = "",
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Begin no further step; what moves already goes on."""
    _steer(Client(controller, token_file), "pause", plan, by, reason, output)


@commands.command("resume")
def resume(
    plan: Named = None,
    by: By = "",
    reason: Reason = "",
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Go on with a plan that is paused or waits; what was refused is asked for anew."""
    _steer(Client(controller, token_file), "resume", plan, by, reason, output)


@commands.command("end")
def end(
    plan: Named = None,
    by: By = "",
    reason: Reason = "",
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Give up what was not begun; what moves already goes on."""
    _steer(Client(controller, token_file), "end", plan, by, reason, output)


def _steer(
    client: Client, act: str, plan: str | None, by: str, reason: str, output: Output
) -> None:
    with answers(output):
        body = {"by": by, "reason": reason, **({"plan": plan} if plan else {})}
        raw = client.ask(f"plan/{act}", None, body)
        if output is Output.JSON:
            print_json(raw)
        else:
            data_console().print(read(raw, Began, "answer").text, soft_wrap=True)


def _flags(at_once: int, over_capacity: bool, despite_caution: bool) -> dict[str, Any]:
    return {
        "at_once": at_once, "over_capacity": over_capacity, "despite_caution": despite_caution,
    }  # fmt: skip


def _run(client: Client, wish: Wish, manner: Manner) -> None:
    with answers(manner.output):
        raise typer.Exit(move_site(client, wish, manner).exit)


def move_site(client: Client, wish: Wish, manner: Manner) -> Ended:
    """Show what would come of it, ask, do it, watch it. Raises CommandFailed."""
    if not (manner.yes or manner.dry_run or sys.stdin.isatty()):
        raise CommandFailed(
            f"{wish.kind} of {wish.site} needs a yes, and there is no terminal to ask on: look at "
            "it with --dry-run, then give --yes; nothing was done",
            Exit.USAGE,
        )
    foreseen = _foresee(client, wish, manner)
    if manner.dry_run or foreseen.preview is None or not foreseen.preview.steps:
        _tell_trial(foreseen, manner)
        return Ended(Exit.OK)
    reason = wish.reason or (ask_reason() if wish.kind == "failover" else "")
    if not manner.yes and not typer.confirm(f"{wish.kind} of {wish.site}?", err=True):
        raise CommandFailed("nothing was done")
    answer = read(client.ask_site(wish.site, wish.kind, wish.body(reason=reason)), Began, "answer")
    say(f"accepted: {answer.text}")
    if not answer.plan:
        return Ended(Exit.OK)
    return Ended(_watch(client, answer.plan, manner), answer.plan)


def _foresee(client: Client, wish: Wish, manner: Manner) -> Began:
    """What would come of it. Raises Refused, after it was shown what was looked at."""
    table = manner.dry_run and manner.output is Output.TABLE
    console = data_console() if table else note_console()
    try:
        raw = client.ask_site(wish.site, wish.kind, wish.body(dry_run=True))
    except Refused as refused:
        told = refused.body.get("preview") if isinstance(refused.body, dict) else None
        if told is not None:
            print_preview(console, read(told, Preview, "preview"))
        raise
    if manner.dry_run and manner.output is Output.JSON:
        print_json(raw)
    found = read(raw, Began, "answer")
    if found.preview is not None and found.preview.steps:
        print_preview(console, found.preview)
    return found


def _tell_trial(foreseen: Began, manner: Manner) -> None:
    if manner.output is Output.TABLE:
        prefix = "dry run: the controller would accept it: " if manner.dry_run else ""
        told = prefix + foreseen.text
        if foreseen.preview is not None and moves_nothing_now(foreseen.preview):
            told = (
                "dry run: the controller would accept it, though every step is refused now: each "
                f"is asked for up to {TRIES_AT_MOST} times, for about {span(TRIES_TAKE_MS)}; then "
                "the plan waits for a person"
            )
        data_console().print(told, soft_wrap=True)
    elif not manner.dry_run:
        print_json({"plan": "", "text": foreseen.text})


def _watch(client: Client, plan: str, manner: Manner) -> Exit:
    """Tell each change until the plan is over or waits, or the time is."""
    if not manner.wait:
        say(f"it goes on in the controller; watch it with: saling plan show {plan}")
        if manner.output is Output.JSON:
            print_json({"plan": plan})
        return Exit.OK
    try:
        shown, raw = _follow(client, plan, manner.timeout_s)
    except KeyboardInterrupt:
        raise CommandFailed(
            f"only the watching ended: {plan} goes on in the controller\n"
            f"  watch it with: saling plan show {plan}\n"
            "  hold it with:  saling plan pause",
            Exit.INTERRUPTED,
        ) from None
    if manner.output is Output.JSON:
        print_json(raw)
    else:
        data_console().print(plan_view(shown))
    if shown.status not in OVER:
        say(f"still {shown.status.value} after {manner.timeout_s:g} s; it goes on", "yellow")
    return ENDS[shown.status]


def _follow(client: Client, plan: str, timeout_s: float) -> tuple[PlanView, Any]:
    """A controller that gives no answer is asked again: the plan goes on when it is back."""
    deadline_s, told, said_s = time.monotonic() + timeout_s, 0, time.monotonic()
    last: tuple[PlanView, Any] | None = None
    while True:
        try:
            raw = client.plan(plan)
            last = (read(raw, PlanView, "plan"), raw)
        except Unreachable as error:
            if last is None or time.monotonic() >= deadline_s:
                raise
            say(f"{error.text}\nasking again until the time is over", "yellow")
        shown = last[0]
        for line in sorted(shown.changes, key=lambda one: one.number):
            if line.number > told:
                told, said_s = line.number, time.monotonic()
                say(change_text(line.change))
        if shown.status in OVER or time.monotonic() >= deadline_s:
            return last
        if time.monotonic() - said_s >= PROGRESS_S:
            said_s = time.monotonic()
            note_console().print(plan_line(shown), soft_wrap=True)
        time.sleep(POLL_S)
