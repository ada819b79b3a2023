"""Switchover, failover and approve: show what would come of it, ask, do it, watch it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
from rich.console import Console

from controller.cli.asking import ask_for_yes, ask_reason, interruptible, require_terminal
from controller.cli.client import Client
from controller.cli.exits import CommandFailed, Exit
from controller.cli.figures import at_most, duration, estimate, size
from controller.cli.follow import Course, Ending, follow, last_number
from controller.cli.history_view import print_lines
from controller.cli.options import Manner, Said, Session, Watching
from controller.cli.output import Output, data_console, note_console, print_json, say
from controller.cli.steps import PLANS, steps
from controller.cli.wire import Accepted, read
from controller.core.explanation.explain import PROMOTION_GUESS_MS, Explanation
from controller.core.model import HeldFor
from controller.stores.base import HistoryLine

ENDS = {
    Ending.DONE: Exit.OK,
    Ending.GIVEN_UP: Exit.ERROR,
    Ending.HELD: Exit.REFUSED,
    Ending.UNDER_WAY: Exit.ERROR,
}


@dataclass(frozen=True)
class Wish:
    """What an operator asks of one service."""

    kind: str
    service: str
    said: Said = field(default_factory=Said)
    epoch: int | None = None
    loss_bytes: int | None = None
    loss_ms: int | None = None
    proof: str | None = None
    over_capacity: bool = False
    despite_caution: bool = False


def move(session: Session, wish: Wish, manner: Manner) -> Exit:
    """Switchover or failover. Raises CommandFailed."""
    require_terminal(f"{wish.kind} of {wish.service}", manner)
    client = session.client()
    service = read(client.explain(wish.service), Explanation, "explanation")
    trial = body_of(wish, service.epoch, dry_run=True)
    if manner.dry_run:
        table = session.output is Output.TABLE
        _preview(data_console() if table else note_console(), wish.kind, service)
        answer = read(client.ask(wish.kind, wish.service, trial), Accepted, "answer")
        tell_dry_run(wish, service, answer, session.output)
        return Exit.OK
    client.ask(wish.kind, wish.service, trial)
    _preview(note_console(), wish.kind, service)
    reason = wish.said.reason or (ask_reason() if wish.kind == "failover" else "")
    ask_for_yes(
        f"{wish.kind} of {wish.service} from {service.primary} to {service.backup}?", manner
    )
    body = body_of(wish, service.epoch, reason=reason)
    return carry_out(client, wish, body, manner, session.output)


def approve(session: Session, wish: Wish, manner: Watching) -> Exit:
    """Accept a loss, or a restored store. Raises CommandFailed.

    Naming the epoch and the loss is the yes; the controller compares both.
    """
    client = session.client()
    service = read(client.explain(wish.service), Explanation, "explanation")
    if service.held_for == HeldFor.LOSS and None in (wish.loss_bytes, wish.loss_ms):
        raise CommandFailed(
            f"{wish.service} is held for a loss: name the one that you accept with --loss-bytes "
            f"and --loss-seconds; it is estimated at {loss_now(service)} now",
            Exit.USAGE,
        )
    _show_accepted(note_console(), wish, service)
    reason = wish.said.reason or ask_reason()
    body = body_of(wish, wish.epoch, reason=reason, dry_run=manner.dry_run)
    if manner.dry_run:
        answer = read(client.ask("approve", wish.service, body), Accepted, "answer")
        tell_dry_run(wish, service, answer, session.output)
        return Exit.OK
    return carry_out(client, wish, body, manner, session.output)


def failover_outage_ms(service: Explanation) -> int:
    """How long no commit succeeds, at most, if a failover begins now."""
    silent_ms = max(0, service.proven_ago_ms)
    return max(service.predicted_failover_ms, silent_ms + PROMOTION_GUESS_MS)


def _preview(console: Console, kind: str, service: Explanation) -> None:
    lines = [
        f"{kind} of {service.service} (tier {service.tier}, {service.protection}) from "
        f"{service.primary} to {service.backup or 'nobody'}, in epoch {service.epoch}",
        f"  now: {service.phase}: {service.because}",
    ]
    if kind == "switchover":
        lines.append(f"  predicted outage: about {duration(service.predicted_switchover_ms)}")
        lines.append("  predicted loss: none")
    else:
        lines.append(f"  predicted outage: at most {duration(failover_outage_ms(service))}")
        lines.append(
            f"  predicted loss: {estimate(service.loss_bytes)}{at_most(service.loss_ms)}, "
            f"bound {size(service.loss_bound_bytes)}"
        )
        if service.loss_bytes is None or service.loss_bytes > service.loss_bound_bytes:
            lines.append("  that is not within the bound: it would be held for an approval")
    lines.append("  steps, if nothing goes wrong:")
    told = enumerate(steps(kind, service), 1)
    lines += [f"    {number}. {text}" for number, text in told]
    for line in lines:
        console.print(line, soft_wrap=True)


def _show_accepted(console: Console, wish: Wish, service: Explanation) -> None:
    lines = [f"{wish.service} is {service.phase}: {service.because}"]
    if wish.loss_bytes is not None:
        lines.append(
            f"  you accept, for epoch {wish.epoch} alone: a loss of up to {wish.loss_bytes} bytes "
            f"({size(wish.loss_bytes)}) of what {service.primary} committed{at_most(wish.loss_ms)}"
        )
        lines.append(f"  estimated loss now: {loss_now(service)}")
    elif service.held_for == HeldFor.RESTORED:
        lines.append(f"  you accept, for epoch {wish.epoch}: what the agents know counts")
    if wish.over_capacity or service.held_for == HeldFor.CAPACITY:
        lines.append(
            f"  you accept, for epoch {wish.epoch} alone: it comes to the site of "
            f"{service.backup} over the capacity of that site"
        )
    for line in lines:
        console.print(line, soft_wrap=True)


def loss_now(service: Explanation) -> str:
    """What an approval must name at least."""
    exact = "" if service.loss_bytes is None else f"{service.loss_bytes} bytes, "
    return f"{exact}{size(service.loss_bytes)}{at_most(service.loss_ms)}"


def body_of(
    wish: Wish, epoch: int | None, reason: str = "", dry_run: bool = False
) -> dict[str, Any]:
    """The epoch that was shown goes along: if the service moved meanwhile, nothing is done."""
    body = wish.said.body(epoch=epoch)
    if reason:
        body["reason"] = reason
    if wish.loss_bytes is not None:
        body["loss_bytes"] = wish.loss_bytes
    if wish.loss_ms is not None:
        body["loss_ms"] = wish.loss_ms
    if wish.proof:
        body["proof"] = wish.proof
    if wish.over_capacity:
        body["over_capacity"] = True
    if wish.despite_caution:
        body["despite_caution"] = True
    if dry_run:
        body["dry_run"] = True
    return body


def carry_out(
    client: Client, wish: Wish, body: dict[str, Any], manner: Watching, output: Output
) -> Exit:
    """Ask for it, and watch the operation until it ends. Raises CommandFailed."""
    course = Course()
    with interruptible(lambda: _interrupted(wish, course.operation)):
        after = last_number(client, wish.service)
        answer = read(client.ask(wish.kind, wish.service, body), Accepted, "answer")
        course.operation = answer.operation
        say(f"accepted: {answer.text}")
        if answer.operation and not manner.no_wait:
            follow(client, wish.service, course, after, manner.timeout, _teller(output))
    if output is Output.JSON:
        print_json(_result(wish, answer, course))
    if not answer.operation:
        say(f"see: saling explain {wish.service}")
        return Exit.OK
    if manner.no_wait:
        say(f"it goes on in the controller; watch it with: saling history {wish.service}")
        return Exit.OK
    _tell_ending(wish, course, manner.timeout)
    return ENDS[course.ending]


def _teller(output: Output) -> Any:
    console = data_console() if output is Output.TABLE else note_console()

    def tell(line: HistoryLine) -> None:
        print_lines(console, [line], with_service=False)

    return tell


def _tell_ending(wish: Wish, course: Course, timeout_s: float) -> None:
    name = wish.service
    match course.ending:
        case Ending.DONE:
            say(
                f"done: outage {duration(course.outage_ms)}, estimated loss "
                f"{size(course.loss_bytes)}; the old primary becomes the backup by itself",
                "green",
            )
        case Ending.GIVEN_UP:
            say(f"given up: {course.lines[-1].transition.because}", "bold red")
        case Ending.HELD:
            say(f"{name} waits for an operator; see: saling explain {name}", "bold red")
        case Ending.UNDER_WAY:
            say(
                f"still under way after {timeout_s:g} s; it goes on in the controller; "
                f"watch it with: saling history {name}",
                "yellow",
            )


def _interrupted(wish: Wish, operation: str) -> str:
    name = wish.service
    if not operation:
        return (
            f"interrupted before an answer came: whether the {wish.kind} of {name} has begun is "
            f"not known here; see: saling history {name}"
        )
    return (
        f"only the watching ended: operation {operation} goes on in the controller\n"
        f"  watch it with: saling status {name} --watch\n"
        f"  what it did:   saling history {name}"
    )


def tell_dry_run(wish: Wish, service: Explanation, answer: Accepted, output: Output) -> None:
    """What the controller would do."""
    if output is Output.TABLE:
        data_console().print(
            f"dry run: the controller would accept it: {answer.text}", soft_wrap=True
        )
        return
    failover = wish.kind != "switchover"
    print_json(
        {
            "service": wish.service,
            "kind": wish.kind,
            "dry_run": True,
            "text": answer.text,
            "steps": list(steps(wish.kind, service)) if wish.kind in PLANS else [],
            "predicted_outage_ms": failover_outage_ms(service)
            if failover
            else service.predicted_switchover_ms,
            "predicted_loss_bytes": service.loss_bytes if failover else 0,
            "loss_bound_bytes": service.loss_bound_bytes,
        }
    )


def _result(wish: Wish, answer: Accepted, course: Course) -> dict[str, Any]:
    return {
        "service": wish.service,
        "kind": wish.kind,
        "text": answer.text,
        "operation": answer.operation,
        "ending": course.ending.value,
        "outage_ms": course.outage_ms,
        "loss_bytes": course.loss_bytes,
        "history": msgspec.to_builtins(course.lines),
    }
