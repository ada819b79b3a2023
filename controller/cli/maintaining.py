"""`saling maintenance`: the planned absence of the host of a backup."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli import absence
from controller.cli.client import DEFAULT_URL, Client
from controller.cli.moves import Manner
from controller.cli.options import By, DryRun, Form, NoWait, Patience, Reason, TokenFile, Where
from controller.cli.output import Output, answers

commands = typer.Typer(
    help="Announce that the host of a backup is patched or rebooted: no alarm, no takeover.",
    no_args_is_help=True,
)
Place = Annotated[
    str | None, typer.Argument(metavar="[AGENT|SITE]", help="All services with their backup there.")
]
Only = Annotated[str | None, typer.Option("--service", help="One service, whose backup is meant.")]


@commands.command("begin")
def begin_maintenance(
    lasts: Annotated[str, typer.Option("--for", help="For how long, such as 90m or 2h.")],
    reason: Annotated[str, typer.Option(help="Why, for the history.")],
    place: Place = None,
    service: Only = None,
    dry_run: DryRun = False,
    no_wait: NoWait = False,
    timeout: Patience = 60.0,
    by: By = "",
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Announce it, and wait until the backup may be stopped. Refused where a primary stands."""
    with answers(output):
        plan = absence.Plan(place, service, by, reason, absence.read_time(lasts))
        manner = Manner(True, dry_run, not no_wait, timeout, output)
        raise typer.Exit(absence.begin(Client(controller, token_file), plan, manner))


@commands.command("end")
def end_maintenance(
    place: Place = None,
    service: Only = None,
    by: By = "",
    reason: Reason = "",
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """End it before its time; the pair is armed again once the backup follows."""
    with answers(output):
        plan = absence.Plan(place, service, by, reason)
        raise typer.Exit(absence.end(Client(controller, token_file), plan, output))


@commands.command("list")
def list_maintenance(
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """What is announced, by whom, for how long still."""
    with answers(output):
        absence.show(Client(controller, token_file), output)
