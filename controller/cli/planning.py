"""Whole sites: evacuate, failover-site, failback; and the plan: show, list, pause, resume, end."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from controller.cli.asking import ask_simply
from controller.cli.client import Client
from controller.cli.exits import CommandFailed, Exit
from controller.cli.options import (
    AwayFlags,
    HomeFlags,
    Said,
    Session,
    Site,
    SiteManner,
    bundled,
)
from controller.cli.output import Output, data_console, print_json
from controller.cli.plan_view import PlanList, PlanView, PresentPlan, plan_line, plan_view
from controller.cli.site_moves import Wish, move_site
from controller.cli.wire import read
from controller.core.plan_model import PlanStatus

commands = typer.Typer(
    help="The plan by which a site is moved: show, pause, resume, end.", no_args_is_help=True
)
Named = Annotated[str | None, typer.Argument(metavar="[PLAN]", help="Id of one plan.")]


@bundled
def evacuate(
    site: Site,
    *,
    flags: AwayFlags,
    manner: SiteManner,
    said: Said,
    session: Session,
) -> Exit:
    """Move all services away from a site, in order. Nothing is lost. 3: some are left."""
    return move_site(session, Wish("evacuate", site, said, flags), manner).exit


@bundled
def fail_site_over(
    site: Site,
    *,
    flags: AwayFlags,
    manner: SiteManner,
    said: Said,
    session: Session,
) -> Exit:
    """Move all services away from a site that is not reached. They may lose data, within bounds."""
    return move_site(session, Wish("failover", site, said, flags), manner).exit


@bundled
def fail_back(
    site: Site,
    *,
    flags: HomeFlags,
    manner: SiteManner,
    said: Said,
    session: Session,
) -> Exit:
    """Move those services back to a site that prefer it. Nothing is lost."""
    return move_site(session, Wish("failback", site, said, flags), manner).exit


@commands.command("show")
@bundled
def show(
    plan: Named = None,
    *,
    last: Annotated[
        bool, typer.Option("--last", help="The newest one, whether it is over or not.")
    ] = False,
    session: Session,
) -> Exit:
    """The plan under way, or the one that is named, with its steps. 3: it waits."""
    client = session.client()
    if last:
        plan = _newest(client, plan)
    raw = client.plan(plan)
    shown = read(raw, PresentPlan, "plan").plan if plan is None else read(raw, PlanView, "plan")
    if session.output is Output.JSON:
        print_json(raw)
    elif shown is None:
        data_console().print(
            "no plan is under way; the last one: saling plan show --last; all: saling plan list",
            soft_wrap=True,
        )
    else:
        console = data_console()
        console.print(plan_view(shown, console.width))
    waits = shown is not None and shown.status is PlanStatus.WAITING
    return Exit.DEGRADED if waits else Exit.OK


@commands.command("list")
@bundled
def list_plans(
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many, the newest.")] = 20,
    *,
    session: Session,
) -> None:
    """The newest plans, the newest first."""
    raw = session.client().plans(limit)
    if session.output is Output.JSON:
        print_json(raw)
        return
    shown = read(raw, PlanList, "plans").plans
    for one in shown:
        line = Text(f"{one.begun_at}  ").append_text(plan_line(one))
        data_console().print(line, soft_wrap=True)
    if not shown:
        data_console().print("no plan was made yet")


@commands.command("pause")
@bundled
def pause(plan: Named = None, *, said: Said, session: Session) -> None:
    """Begin no further step; what moves already goes on."""
    _steer(session, "pause", plan, said)


@commands.command("resume")
@bundled
def resume(plan: Named = None, *, said: Said, session: Session) -> None:
    """Go on with a plan that is paused or waits; what was refused is asked for anew."""
    _steer(session, "resume", plan, said)


@commands.command("end")
@bundled
def end(plan: Named = None, *, said: Said, session: Session) -> None:
    """Give up what was not begun; what moves already goes on."""
    _steer(session, "end", plan, said)


def _newest(client: Client, named: str | None) -> str:
    """The id of the newest plan. Raises CommandFailed."""
    if named is not None:
        raise CommandFailed("name a PLAN or give --last, not both", Exit.USAGE)
    plans = read(client.plans(1), PlanList, "plans").plans
    if not plans:
        raise CommandFailed("no plan was made yet, so there is no last one", Exit.USAGE)
    return plans[0].id


def _steer(session: Session, act: str, plan: str | None, said: Said) -> None:
    ask_simply(session, f"plan/{act}", None, said, **({"plan": plan} if plan else {}))
