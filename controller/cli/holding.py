"""`saling hold` and `saling release`: an integrity hold, of a service, a site or everything."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from controller.cli.absence import read_time
from controller.cli.asking import ask_simply
from controller.cli.exits import CommandFailed, Exit
from controller.cli.options import DryRun, Lasts, Perhaps, Said, SaidWhy, Session, bundled

Site = Annotated[str | None, typer.Option("--site", help="All services with a copy in this site.")]
Everything = Annotated[bool, typer.Option("--all", help="All services.")]


@bundled
def hold(
    service: Perhaps = None,
    *,
    lasts: Lasts,
    site: Site = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    said: SaidWhy,
    session: Session,
) -> None:
    """Let nobody take over, by itself or by hand: the data may be damaged (ransomware)."""
    scope = scope_of(service, site, everything)
    trial = {"dry_run": True} if dry_run else {}
    ask_simply(session, "hold", service, said, for_ms=read_time(lasts), **trial, **scope)


@bundled
def release(
    service: Perhaps = None,
    *,
    site: Site = None,
    everything: Everything = False,
    said: Said,
    session: Session,
) -> None:
    """End an integrity hold. A failover that waited for it goes on at once."""
    ask_simply(session, "release", service, said, **scope_of(service, site, everything))


def scope_of(service: str | None, site: str | None, everything: bool) -> dict[str, Any]:
    """What is meant, as the API takes it; nothing for one service. Raises CommandFailed."""
    if (service is not None) + (site is not None) + everything != 1:
        raise CommandFailed(
            "name one SERVICE, or --site SITE, or --all; nothing was done", Exit.USAGE
        )
    if everything:
        return {"scope": "all"}
    return {"scope": f"site:{site}"} if site is not None else {}
