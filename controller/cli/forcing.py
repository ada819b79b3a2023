"""`failover --force`: ask for it, state the proof as a second person, or take it back."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console

from controller.cli.asking import ask_for_yes, ask_reason, require_terminal
from controller.cli.exits import CommandFailed, Exit
from controller.cli.figures import size
from controller.cli.moves import Wish, body_of, carry_out, loss_now, tell_dry_run
from controller.cli.options import Manner, Session
from controller.cli.output import note_console
from controller.cli.wire import Accepted, read
from controller.core.events import Kind
from controller.core.explanation.explain import Explanation

ASK, PROVE, GIVE_UP = Kind.FORCE.value, Kind.PROVE.value, Kind.END_FORCE.value


def kind_of(proof: str | None, give_up: bool) -> str:
    """Which of the three is asked for. Raises CommandFailed."""
    if proof is not None and not proof.strip():
        raise CommandFailed("--proof is empty: say how it is known", Exit.USAGE)
    if proof and give_up:
        raise CommandFailed("give --proof or --give-up, not both", Exit.USAGE)
    return PROVE if proof else GIVE_UP if give_up else ASK


def refuse_loose(wish: Wish, give_up: bool) -> None:
    """Raise CommandFailed where an option of a force is given without it."""
    figures = (wish.epoch, wish.loss_bytes, wish.loss_ms)
    if wish.proof is not None or give_up or any(figure is not None for figure in figures):
        raise CommandFailed(
            "--epoch, --proof, --give-up, --loss-bytes and --loss-seconds belong to --force: give "
            "it too, or leave them out; nothing was done",
            Exit.USAGE,
        )


def force(session: Session, wish: Wish, manner: Manner) -> Exit:
    """Do that one. Raises CommandFailed."""
    if wish.kind != GIVE_UP and wish.epoch is None:
        raise CommandFailed(
            f"--force needs the epoch that `saling explain {wish.service}` shows: --epoch N; "
            "nothing was done",
            Exit.USAGE,
        )
    # To take it back is safe at any time, and only a proof begins what can be watched.
    manner = replace(
        manner,
        yes=manner.yes or wish.kind == GIVE_UP,
        no_wait=manner.no_wait or wish.kind != PROVE,
    )
    require_terminal(f"--force of {wish.service}", manner)
    client = session.client()
    service = read(client.explain(wish.service), Explanation, "explanation")
    trial = body_of(wish, wish.epoch, dry_run=True)
    answer = read(client.ask(wish.kind, wish.service, trial), Accepted, "answer")
    _preview(note_console(), wish, service)
    if manner.dry_run:
        tell_dry_run(wish, service, answer, session.output)
        return Exit.OK
    reason = wish.said.reason or (ask_reason() if wish.kind == ASK else "")
    ask_for_yes(_question(wish), manner)
    body = body_of(wish, wish.epoch, reason=reason)
    return carry_out(client, wish, body, manner, session.output)


def _question(wish: Wish) -> str:
    if wish.kind == PROVE:
        return f"is that host off NOW, and does it stay off: move {wish.service} by force?"
    return f"stop all leases of {wish.service}, to move it by force?"


def _preview(console: Console, wish: Wish, service: Explanation) -> None:
    name, primary, backup = wish.service, service.primary, service.backup
    lines = [f"{name} is {service.phase}: {service.because}"]
    if wish.kind == ASK:
        lines += [
            f"  estimated loss now: {loss_now(service)}; it grows until {primary} is off, for it "
            "stood alone and no lease ends what it writes",
            f"  now: nobody grants a lease any more; if {primary} is heard after all, nothing is "
            "moved, and it stands alone as before",
            f"  then: the host of {primary} is made sure to be off, by its power switch, not by "
            "what was seen before",
            f"  then somebody else: saling failover {name} --force --epoch {wish.epoch} --proof "
            f"TEXT, with --loss-bytes N --loss-seconds N where {size(service.loss_bound_bytes)} "
            "are exceeded",
        ]
    if wish.kind == PROVE:
        lines += [
            f"  you state that the host of {primary} is off and stays off: {wish.proof}",
            "  if that is not so, two databases take writes, and one of them is thrown away",
            f"  estimated loss now: {loss_now(service)}; {backup} becomes primary without it",
        ]
    for line in lines:
        console.print(line, soft_wrap=True)
