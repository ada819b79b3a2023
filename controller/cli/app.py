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
from controller.cli.capacity_view import show_capacity
from controller.cli.client import DEFAULT_URL, Client
from controller.cli.cuts import CutsInPairs, pairs
from controller.cli.exits import CommandFailed, Exit
from controller.cli.forcing import force, kind_of, refuse_loose
from controller.cli.forecast import Loss, show_forecast
from controller.cli.moves import Manner, Wish, approve, move
from controller.cli.options import (
    By,
    DespiteCaution,
    DryRun,
    Form,
    Interval,
    Limit,
    LossBytes,
    LossSeconds,
    NoWait,
    OverCapacity,
    Patience,
    Perhaps,
    Reason,
    Service,
    TokenFile,
    Where,
    Yes,
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
def status(
    service: Perhaps = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it until Ctrl-C.")] = False,
    interval: Interval = 1.0,
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """What is protected and what is not, and why. Exits with 3 when anything is degraded."""
    with answers(output):
        client = Client(controller, token_file)
        if watch:
            raise typer.Exit(views.watch_status(client, service, output, interval))
        raise typer.Exit(views.show_status(client, service, output))


@app.command()
def topology(
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Sites, pairs, and the copies of each service."""
    with answers(output):
        views.show_topology(Client(controller, token_file), output)


@app.command()
def explain(
    service: Service,
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """What holds, what would have to happen for a failover, what was decided last and why."""
    with answers(output):
        views.show_explanation(Client(controller, token_file), service, output)


@app.command()
def capacity(
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Whether each site could carry what the loss of another would bring it."""
    with answers(output):
        raise typer.Exit(show_capacity(Client(controller, token_file), output))


@app.command("what-if", cls=CutsInPairs)
def forecast(
    lose: Annotated[list[str] | None, typer.Option(help="A site that is lost; repeatable.")] = None,
    cut: Annotated[
        list[str] | None,
        typer.Option(metavar="A B", help="Places that do not hear each other; repeatable."),
    ] = None,
    kill_controller: Annotated[
        bool, typer.Option("--kill-controller", help="The controller dies.")
    ] = False,
    service: Annotated[list[str] | None, typer.Option(help="Only this one; repeatable.")] = None,
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """What would be decided if this were lost now. Changes nothing. 3: not all are served."""
    with answers(output):
        loss = Loss(tuple(lose or ()), pairs(cut or []), kill_controller)
        client = Client(controller, token_file)
        raise typer.Exit(show_forecast(client, loss, tuple(service or ()), output))


@app.command()
def history(
    service: Perhaps = None,
    limit: Limit = 20,
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """What was decided and why, newest first."""
    with answers(output):
        views.show_history(Client(controller, token_file), service, limit, output)


@app.command()
def switchover(
    service: Service,
    despite_caution: DespiteCaution = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    no_wait: NoWait = False,
    timeout: Patience = 60.0,
    over_capacity: OverCapacity = False,
    by: By = "",
    reason: Reason = "",
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Move a healthy service to its backup. Nothing is lost."""
    with answers(output):
        wish = Wish(
            "switchover",
            service,
            by,
            reason,
            over_capacity=over_capacity,
            despite_caution=despite_caution,
        )
        manner = Manner(yes, dry_run, not no_wait, timeout, output)
        raise typer.Exit(move(Client(controller, token_file), wish, manner))


@app.command()
def failover(
    service: Service,
    forced: Annotated[bool, typer.Option("--force", help="The primary stood alone.")] = False,
    epoch: Annotated[int | None, typer.Option(min=0, help="Force: the epoch.")] = None,
    proof: Annotated[
        str | None, typer.Option(help="Force: how one knows that the host is off and stays off.")
    ] = None,
    give_up: Annotated[bool, typer.Option("--give-up", help="Force: take it back.")] = False,
    loss_bytes: LossBytes = None,
    loss_seconds: LossSeconds = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    no_wait: NoWait = False,
    timeout: Patience = 60.0,
    by: By = "",
    reason: Reason = "",
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Move a service whose primary is silent. It may lose data, within the bound.

    With --force also one that stood alone, whose host is off: one person asks for it, then
    another one states the proof.
    """
    with answers(output):
        manner = Manner(yes, dry_run, not no_wait, timeout, output)
        kind = kind_of(proof, give_up) if forced else "failover"
        loss_ms = milliseconds(loss_seconds)
        wish = Wish(kind, service, by, reason, epoch, loss_bytes, loss_ms, proof)
        if not forced:
            refuse_loose(wish, give_up)
        go = force if forced else move
        raise typer.Exit(go(Client(controller, token_file), wish, manner))


@app.command("approve")
def accept(
    service: Service,
    epoch: Annotated[int, typer.Option(min=0, help="The epoch that `explain` shows.")],
    loss_bytes: LossBytes = None,
    loss_seconds: LossSeconds = None,
    dry_run: DryRun = False,
    no_wait: NoWait = False,
    timeout: Patience = 60.0,
    over_capacity: OverCapacity = False,
    by: By = "",
    reason: Reason = "",
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Release a held service: accept the named loss, no room, or what the agents know."""
    with answers(output):
        loss_ms = milliseconds(loss_seconds)
        wish = Wish(
            "approve", service, by, reason, epoch, loss_bytes, loss_ms, over_capacity=over_capacity
        )
        manner = Manner(True, dry_run, not no_wait, timeout, output)
        raise typer.Exit(approve(Client(controller, token_file), wish, manner))


@app.command()
def pause(
    reason: Annotated[str, typer.Option(help="Why, for the history.")],
    service: Perhaps = None,
    by: By = "",
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Turn automatic failover off, for one service or for all."""
    with answers(output):
        body = {"by": by, "reason": reason}
        views.ask_simply(Client(controller, token_file), "pause", service, body, output)


@app.command()
def resume(
    service: Perhaps = None,
    by: By = "",
    reason: Reason = "",
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Turn automatic failover on again, for one service or for all."""
    with answers(output):
        body = {"by": by, "reason": reason}
        views.ask_simply(Client(controller, token_file), "resume", service, body, output)


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


def main(arguments: list[str] | None = None) -> None:
    """The entry of `saling`; ends the process."""
    if NO_COLOR:
        rich_utils.COLOR_SYSTEM = None
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
