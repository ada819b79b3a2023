"""`saling maintenance`: the planned absence of the host of a backup."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli import absence
from controller.cli.exits import Exit
from controller.cli.options import Lasts, Said, SaidWhy, Session, Watching, bundled

commands = typer.Typer(
    help="Announce that the host of a backup is patched or rebooted: no alarm, no takeover.",
    no_args_is_help=True,
)
Place = Annotated[
    str | None, typer.Argument(metavar="[AGENT|SITE]", help="All services with their backup there.")
]
Only = Annotated[str | None, typer.Option("--service", help="One service, whose backup is meant.")]


@commands.command("begin")
@bundled
def begin_maintenance(
    place: Place = None,
    *,
    lasts: Lasts,
    service: Only = None,
    said: SaidWhy,
    manner: Watching,
    session: Session,
) -> Exit:
    """Announce it, and wait until the backup may be stopped. Refused where a primary stands."""
    plan = absence.Plan(place, service, said, absence.read_time(lasts))
    return absence.begin(session, plan, manner)


@commands.command("end")
@bundled
def end_maintenance(
    place: Place = None, *, service: Only = None, said: Said, session: Session
) -> None:
    """End it before its time; the pair is armed again once the backup follows."""
    absence.end(session, absence.Plan(place, service, said))


@commands.command("list")
@bundled
def list_maintenance(session: Session) -> None:
    """What is announced, by whom, for how long still."""
    absence.show(session)
