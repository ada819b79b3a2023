"""`saling hold` and `saling release`: an integrity hold, of a service, a site or everything."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from controller.cli import views
from controller.cli.absence import read_time
from controller.cli.client import DEFAULT_URL, Client
from controller.cli.exits import CommandFailed, Exit
from controller.cli.options import By, DryRun, Form, Perhaps, Reason, TokenFile, Where
from controller.cli.output import Output, answers

Site = Annotated[str | None, typer.Option("--site", help="All services with a copy in this site.")]
Everything = Annotated[bool, typer.Option("--all", help="All services.")]


def hold(
    lasts: Annotated[str, typer.Option("--for", help="For how long, such as 90m or 4h.")],
    reason: Annotated[str, typer.Option(help="Why, for the history.")],
    service: Perhaps = None,
    site: Site = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    by: By = "",
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """Let nobody take over, by itself or by hand: the data may be damaged (ransomware)."""
    with answers(output):
        body = {"by": by, "reason": reason, "for_ms": read_time(lasts)}
        if dry_run:
            body["dry_run"] = True
        place = scope(service, site, everything)
        ask(Client(controller, token_file), "hold", place, service, body, output)


def release(
    service: Perhaps = None,
    site: Site = None,
    everything: Everything = False,
    by: By = "",
    reason: Reason = "",
    output: Form = Output.TABLE,
    controller: Where = DEFAULT_URL,
    token_file: TokenFile = None,
) -> None:
    """End an integrity hold. A failover that waited for it goes on at once."""
    with answers(output):
        body = {"by": by, "reason": reason}
        place = scope(service, site, everything)
        ask(Client(controller, token_file), "release", place, service, body, output)


def scope(service: str | None, site: str | None, everything: bool) -> str:
    """What is meant, as the API names it; empty for one service. Raises CommandFailed."""
    if (service is not None) + (site is not None) + everything != 1:
        raise CommandFailed(
            "name one SERVICE, or --site SITE, or --all; nothing was done", Exit.USAGE
        )
    if everything:
        return "all"
    return f"site:{site}" if site is not None else ""


def ask(
    client: Client,
    kind: str,
    place: str,
    service: str | None,
    body: dict[str, Any],
    output: Output,
) -> None:
    """Ask it of one service, or of all of a scope at once, and print the answer."""
    if place:
        body["scope"] = place
    views.ask_simply(client, kind, service, body, output)
