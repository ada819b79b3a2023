"""A whole site is moved: show what would come of it, ask, do it, watch the plan."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from msgspec import Struct
from rich.console import Group

from controller.cli.asking import (
    NOT_KNOWN,
    ask_for_yes,
    ask_reason,
    interruptible,
    require_terminal,
    watch,
)
from controller.cli.client import Client
from controller.cli.exits import CommandFailed, Exit, Refused
from controller.cli.options import Manner, Said, Session, SiteFlags
from controller.cli.output import Output, data_console, note_console, print_json, say
from controller.cli.plan_view import (
    PlanView,
    change_text,
    lane_lines,
    moves_nothing_now,
    plan_line,
    plan_view,
    print_preview,
)
from controller.cli.table import Below
from controller.cli.wire import read
from controller.core.foresight.preview import Preview
from controller.core.gates.maintenance import span
from controller.core.plan_model import PlanStatus
from controller.core.plans.going import TRIES_TAKE_MS
from controller.core.plans.judging import TRIES_AT_MOST

POLL_S = 0.5
PROGRESS_S = 5.0
ENDS = {
    PlanStatus.DONE: Exit.OK,
    PlanStatus.ENDED: Exit.DEGRADED,
    PlanStatus.WAITING: Exit.DEGRADED,
    PlanStatus.RUNNING: Exit.ERROR,
    PlanStatus.PAUSED: Exit.ERROR,
}
NOTHING_MORE_COMES = (PlanStatus.DONE, PlanStatus.ENDED, PlanStatus.WAITING)
"""Of itself: it is over, or waits for a person."""


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
    said: Said = field(default_factory=Said)
    flags: SiteFlags = field(default_factory=SiteFlags)

    def body(self, **more: Any) -> dict[str, Any]:
        """As the API takes it."""
        given = {key: value for key, value in asdict(self.flags).items() if value}
        return self.said.body(**{**given, **more})


@dataclass(frozen=True)
class Ended:
    """How the command ends, and the plan that it began; empty where it began none."""

    exit: Exit
    plan: str = ""


def move_site(session: Session, wish: Wish, manner: Manner) -> Ended:
    """Show what would come of it, ask, do it, watch it. Raises CommandFailed."""
    require_terminal(f"{wish.kind} of {wish.site}", manner)
    client = session.client()
    foreseen = _foresee(client, wish, manner, session.output)
    if manner.dry_run or foreseen.preview is None or not foreseen.preview.steps:
        _tell_trial(foreseen, manner.dry_run, session.output)
        return Ended(Exit.OK)
    reason = wish.said.reason or (ask_reason() if wish.kind == "failover" else "")
    ask_for_yes(f"{wish.kind} of {wish.site}?", manner)
    with interruptible(lambda: NOT_KNOWN.replace("history", "plan show")):
        raw = client.ask_site(wish.site, wish.kind, wish.body(reason=reason))
    answer = read(raw, Began, "answer")
    say(f"accepted: {answer.text}")
    if not answer.plan:
        return Ended(Exit.OK)
    return Ended(_watch(client, answer.plan, manner, session.output), answer.plan)


def _foresee(client: Client, wish: Wish, manner: Manner, output: Output) -> Began:
    """What would come of it. Raises Refused, after it was shown what was looked at."""
    table = manner.dry_run and output is Output.TABLE
    console = data_console() if table else note_console()
    try:
        raw = client.ask_site(wish.site, wish.kind, wish.body(dry_run=True))
    except Refused as refused:
        told = refused.body.get("preview") if isinstance(refused.body, dict) else None
        if told is not None:
            print_preview(console, read(told, Preview, "preview"))
        raise
    if manner.dry_run and output is Output.JSON:
        print_json(raw)
    found = read(raw, Began, "answer")
    if found.preview is not None and found.preview.steps:
        print_preview(console, found.preview)
    return found


def _tell_trial(foreseen: Began, dry_run: bool, output: Output) -> None:
    if output is Output.TABLE:
        prefix = "dry run: the controller would accept it: " if dry_run else ""
        told = prefix + foreseen.text
        if foreseen.preview is not None and moves_nothing_now(foreseen.preview):
            told = (
                "dry run: the controller would accept it, though every step is refused now: each "
                f"is asked for up to {TRIES_AT_MOST} times, for about {span(TRIES_TAKE_MS)}; then "
                "the plan waits for a person"
            )
        data_console().print(told, soft_wrap=True)
    elif not dry_run:
        print_json({"plan": "", "text": foreseen.text})


def _watch(client: Client, plan: str, manner: Manner, output: Output) -> Exit:
    """Tell each change until the plan is over or waits, or the time is."""
    if manner.no_wait:
        say(f"it goes on in the controller; watch it with: saling plan show {plan}")
        if output is Output.JSON:
            print_json({"plan": plan})
        return Exit.OK
    follower = _Follower(client, plan)
    with interruptible(lambda: _goes_on("only the watching ended", plan)):
        raw = watch(follower.look, follower.is_over, manner.timeout, POLL_S)
    if raw is None:
        raise CommandFailed(_goes_on("the controller gave no answer", plan))
    shown = read(raw, PlanView, "plan")
    if output is Output.JSON:
        print_json(raw)
    else:
        console = data_console()
        console.print(plan_view(shown, console.width))
    if shown.status not in NOTHING_MORE_COMES:
        say(f"still {shown.status.value} after {manner.timeout:g} s; it goes on", "yellow")
    return ENDS[shown.status]


def _goes_on(what: str, plan: str) -> str:
    return (
        f"{what}: {plan} goes on in the controller\n"
        f"  watch it with: saling plan show {plan}\n"
        "  hold it with:  saling plan pause"
    )


class _Follower:
    """Looks at a plan, and tells what it has not told yet."""

    def __init__(self, client: Client, plan: str) -> None:
        self._client, self._plan = client, plan
        self._told, self._next_s = 0, 0.0

    def look(self) -> Any:
        """The plan as the controller shows it."""
        raw = self._client.plan(self._plan)
        shown = read(raw, PlanView, "plan")
        for line in sorted(shown.changes, key=lambda one: one.number):
            if line.number > self._told:
                self._told = line.number
                say(change_text(line.change))
        if shown.status not in NOTHING_MORE_COMES and time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + PROGRESS_S
            console = note_console()
            console.print(plan_line(shown), soft_wrap=True)
            console.print(Group(*map(Below, lane_lines(shown))))
        return raw

    @staticmethod
    def is_over(raw: Any) -> bool:
        """Whether it is over, or waits for a person."""
        return read(raw, PlanView, "plan").status in NOTHING_MORE_COMES
