"""Ask the controller for a change, watch what comes of it, tell the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import typer

from controller.cli.exits import CommandFailed, Exit
from controller.cli.options import Manner, Said, Session
from controller.cli.output import Output, data_console, print_json, say
from controller.cli.wire import Accepted, read

Seen = TypeVar("Seen")

NOT_KNOWN = (
    "interrupted before an answer came: whether it was taken is not known here; see: saling history"
)


def require_terminal(what: str, manner: Manner) -> None:
    """Raise CommandFailed where a yes is needed that nobody could give."""
    if not (manner.yes or manner.dry_run or sys.stdin.isatty()):
        raise CommandFailed(
            f"{what} needs a yes, and there is no terminal to ask on: look at it with --dry-run, "
            "then give --yes; nothing was done",
            Exit.USAGE,
        )


def ask_for_yes(question: str, manner: Manner) -> None:
    """Raise CommandFailed where whoever sits at the terminal says no, or nothing."""
    try:
        agreed = manner.yes or typer.confirm(question, err=True)
    except typer.Abort:
        say("")
        agreed = False
    if not agreed:
        raise CommandFailed("nothing was done")


def ask_reason() -> str:
    """Why, for the history, from whoever sits at the terminal. Raises CommandFailed."""
    if not sys.stdin.isatty():
        raise CommandFailed(
            "it needs a reason, for the history: give --reason TEXT; nothing was done", Exit.USAGE
        )
    return str(typer.prompt("Why (for the history)", err=True))


def ask_simply(session: Session, kind: str, service: str | None, said: Said, **more: Any) -> None:
    """Ask for what is done once it is accepted, and print the answer. Raises CommandFailed."""
    with interruptible(lambda: NOT_KNOWN):
        raw = session.client().ask(kind, service, said.body(**more))
    if session.output is Output.JSON:
        print_json(raw)
        return
    answer = read(raw, Accepted, "answer")
    what = f"{answer.service}: " if answer.service else ""
    data_console().print(what + answer.text, soft_wrap=True)


def watch(
    look: Callable[[], Seen], is_over: Callable[[Seen], bool], timeout_s: float, poll_s: float
) -> Seen | None:
    """What was seen last, once it is over or time is; None where nothing was seen.

    A controller that gives no answer is asked again: it may be restarting, and what was asked
    for goes on when it is back. Raises CommandFailed where asking again is no use.
    """
    deadline_s = time.monotonic() + timeout_s
    seen, away = None, False
    while True:
        try:
            seen, away = look(), False
        except CommandFailed as error:
            if error.code is not Exit.ERROR:
                raise
            if not away:
                warn(f"{error.text}\nasking again until the time is over")
            away = True
        if (seen is not None and is_over(seen)) or time.monotonic() >= deadline_s:
            return seen
        time.sleep(poll_s)


@contextmanager
def interruptible(words: Callable[[], str]) -> Iterator[None]:
    """Ctrl-C ends the watching alone; the words say what goes on, and how to see it."""
    try:
        yield
    except KeyboardInterrupt:
        raise CommandFailed(words(), Exit.INTERRUPTED) from None


def warn(text: str) -> None:
    """What went wrong on the way, and is tried again."""
    say(text, "yellow")
