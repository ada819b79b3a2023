"""The commands of `saling`: what they take, and what they hand on."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer import rich_utils

from config.validate import validate as judge
from controller.cli import (
    caution,
    drilling,
    holding,
    maintaining,
    planning,
    reloading,
    timeline,
    views,
)
from controller.cli.asking import ask_simply
from controller.cli.capacity_view import show_capacity
from controller.cli.cuts import CutsInPairs, pairs
from controller.cli.examples import give_examples
from controller.cli.exits import CommandFailed, Exit
from controller.cli.forcing import force, kind_of, refuse_loose
from controller.cli.forecast import Loss, show_forecast
from controller.cli.moves import Wish, approve, move
from controller.cli.options import (
    DespiteCaution,
    Form,
    Interval,
    Limit,
    LossBytes,
    LossSeconds,
    Manner,
    OverCapacity,
    Perhaps,
    Said,
    SaidWhy,
    Service,
    Session,
    Watching,
    bundled,
    milliseconds,
)
from controller.cli.output import NO_COLOR, Output, answers, data_console, print_json, say
from controller.cli.replaying import replay_journal
from controller.version import installed_version

app = typer.Typer(
    name="saling",
    help="Look at the services of a Saling cluster, and move them. Data goes to stdout, all else "
    "to stderr. Exit codes: 0 ok, 1 error, 2 usage, 3 degraded, 4 refused by a safety rule, "
    "5 conflict.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command()
@bundled
def status(
    service: Perhaps = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it until Ctrl-C.")] = False,
    interval: Interval = 1.0,
    session: Session,
) -> Exit:
    """What is protected and what is not, and why. Exits with 3 when anything is degraded."""
    client = session.client()
    if watch:
        return views.watch_status(client, service, session.output, interval)
    return views.show_status(client, service, session.output)


@app.command()
@bundled
def topology(session: Session) -> None:
    """Sites, pairs, and the copies of each service."""
    views.show_topology(session.client(), session.output)


@app.command()
@bundled
def explain(service: Service, *, session: Session) -> None:
    """What holds, what would have to happen for a failover, what was decided last and why."""
    views.show_explanation(session.client(), service, session.output)


@app.command()
@bundled
def capacity(session: Session) -> Exit:
    """Whether each site could carry what the loss of another would bring it."""
    return show_capacity(session.client(), session.output)


@app.command("what-if", cls=CutsInPairs)
@bundled
def forecast(
    *,
    lose: Annotated[list[str] | None, typer.Option(help="A site that is lost; repeatable.")] = None,
    cut: Annotated[
        list[str] | None,
        typer.Option(metavar="A B", help="Places that do not hear each other; repeatable."),
    ] = None,
    kill_controller: Annotated[
        bool, typer.Option("--kill-controller", help="The controller dies.")
    ] = False,
    service: Annotated[list[str] | None, typer.Option(help="Only this one; repeatable.")] = None,
    session: Session,
) -> Exit:
    """What would be decided if this were lost now. Changes nothing. 3: not all are served."""
    loss = Loss(tuple(lose or ()), pairs(cut or []), kill_controller)
    return show_forecast(session.client(), loss, tuple(service or ()), session.output)


@app.command()
@bundled
def history(service: Perhaps = None, *, limit: Limit = 20, session: Session) -> None:
    """What was decided and why, newest first."""
    views.show_history(session.client(), service, limit, session.output)


@app.command()
@bundled
def switchover(
    service: Service,
    *,
    despite_caution: DespiteCaution = False,
    over_capacity: OverCapacity = False,
    manner: Manner,
    said: Said,
    session: Session,
) -> Exit:
    """Move a healthy service to its backup. Nothing is lost."""
    wish = Wish(
        "switchover", service, said, over_capacity=over_capacity, despite_caution=despite_caution
    )
    return move(session, wish, manner)


@app.command()
@bundled
def failover(
    service: Service,
    *,
    forced: Annotated[bool, typer.Option("--force", help="The primary stood alone.")] = False,
    epoch: Annotated[int | None, typer.Option(min=0, help="Force: the epoch.")] = None,
    proof: Annotated[
        str | None, typer.Option(help="Force: how one knows that the host is off and stays off.")
    ] = None,
    give_up: Annotated[bool, typer.Option("--give-up", help="Force: take it back.")] = False,
    loss_bytes: LossBytes = None,
    loss_seconds: LossSeconds = None,
    manner: Manner,
    said: Said,
    session: Session,
) -> Exit:
    """Move a service whose primary is silent. It may lose data, within the bound.

    With --force also one that stood alone, whose host is off: one person asks for it, then
    another one states the proof.
    """
    kind = kind_of(proof, give_up) if forced else "failover"
    wish = Wish(kind, service, said, epoch, loss_bytes, milliseconds(loss_seconds), proof)
    if not forced:
        refuse_loose(wish, give_up)
    go = force if forced else move
    return go(session, wish, manner)


@app.command("approve")
@bundled
def accept(
    service: Service,
    *,
    epoch: Annotated[int, typer.Option(min=0, help="The epoch that `explain` shows.")],
    loss_bytes: LossBytes = None,
    loss_seconds: LossSeconds = None,
    over_capacity: OverCapacity = False,
    manner: Watching,
    said: Said,
    session: Session,
) -> Exit:
    """Release a held service: accept the named loss, no room, or what the agents know."""
    loss_ms = milliseconds(loss_seconds)
    wish = Wish("approve", service, said, epoch, loss_bytes, loss_ms, over_capacity=over_capacity)
    return approve(session, wish, manner)


@app.command()
@bundled
def pause(
    service: Perhaps = None,
    *,
    said: SaidWhy,
    session: Session,
) -> None:
    """Turn automatic failover off, for one service or for all."""
    ask_simply(session, "pause", service, said)


@app.command()
@bundled
def resume(service: Perhaps = None, *, said: Said, session: Session) -> None:
    """Turn automatic failover on again, for one service or for all."""
    ask_simply(session, "resume", service, said)


app.command("reload")(reloading.reload)
app.add_typer(caution.commands, name="caution")
app.add_typer(planning.commands, name="plan")
app.command("evacuate")(planning.evacuate)
app.command("failover-site")(planning.fail_site_over)
app.command("failback")(planning.fail_back)
app.command("drill")(drilling.drill)
app.command("timeline")(timeline.timeline)
app.command("hold")(holding.hold)
app.command("release")(holding.release)

app.add_typer(maintaining.commands, name="maintenance")


@app.command()
def validate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A topology or an agent's file.")],
    files: Annotated[
        bool, typer.Option("--files", help="Look at the keys and certificates it names, too.")
    ] = False,
    output: Form = Output.TABLE,
) -> None:
    """Say everything that is wrong with a configuration file. Needs no controller."""
    report = judge(file, files)
    typer.echo(report.as_json() if output is Output.JSON else report.text())
    raise typer.Exit(report.exit_code)


@app.command()
def replay(
    journal: Annotated[
        Path, typer.Argument(metavar="JOURNAL", help="A file of a journal, or its directory.")
    ],
    until: Annotated[
        str | None, typer.Option("--until", help="Stop at this wall time, in ISO 8601.")
    ] = None,
    service: Annotated[str | None, typer.Option(help="Compare only this one.")] = None,
    output: Form = Output.TABLE,
) -> None:
    """Feed a journal through the rules again: is every decision the same? Needs no controller."""
    with answers(output):
        raise typer.Exit(replay_journal(journal, until, service, output))


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running afterwards.")] = False,
    report: Annotated[Path, typer.Option(help="Where the report goes, as JSON.")] = Path(
        "demo-report.json"
    ),
) -> None:
    """Start four real sites on this machine, kill one, and show what becomes of it."""
    try:
        # Only the demo needs the lab, and the database and broker that come with it.
        from lab.demo import main as run

        code = run(keep, report)
    except ModuleNotFoundError as error:
        raise CommandFailed(
            f"the demo needs {error.name}, which is not installed; install saling[lab]"
        ) from None
    raise typer.Exit(code)


@app.command()
def version(output: Form = Output.TABLE) -> None:
    """The version of this command."""
    number = installed_version()
    if output is Output.JSON:
        print_json({"version": number})
    else:
        data_console().print(f"saling {number}")


give_examples(app)


def main(arguments: list[str] | None = None) -> None:
    """The entry of `saling`; ends the process."""
    if NO_COLOR:
        rich_utils.COLOR_SYSTEM = None
    if sys.stdout is None:
        # Python has none where the shell closed it; what is asked for could be told to nobody.
        say("the answer could not be written: stdout is closed", "red")
        sys.exit(Exit.ERROR)
    try:
        try:
            app(args=arguments, prog_name="saling")
        finally:
            sys.stdout.flush()
    except CommandFailed as error:
        say(error.text, "bold red" if error.code is Exit.REFUSED else "red")
        sys.exit(error.code)
    except OSError as error:
        _close_stdout()
        if not isinstance(error, BrokenPipeError):
            say(f"the answer could not be written: {error.strerror or error}", "red")
        sys.exit(Exit.ERROR)


def _close_stdout() -> None:
    """What does not fit there is thrown away, so that the end of the process tries no more."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
