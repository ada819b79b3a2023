"""The command `saling-agent adopt`: its options, what it prints, and its exit status.

0 done, or a dry run found nothing against it; 1 failed, run it again; 2 the files or options
are wrong; 4 refused: each failed finding says what would make it possible. The findings go to
the standard output, everything else to the standard error.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import typer
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from agents.adoption.adopt import Seen, carry_out, examine, steps
from agents.adoption.facts import AdoptError
from agents.adoption.plan import Plan, Step, Unplanned, with_topology
from agents.assembly import postgres_config
from agents.doctor.findings import Finding, Level
from agents.durable import DurableError
from agents.engines.base import EngineError
from agents.engines.pg_settings import check
from config.agent import AgentConfig
from config.loader import load_topology
from config.problems import ConfigError

FAILED, USAGE, REFUSED = 1, 2, 4


class Asked(Struct, frozen=True):
    """The options, as they were given."""

    service: str
    topology: Path | None
    superuser: str
    dry_run: bool
    prepare: bool
    consent: bool
    as_json: bool


class Shown(Struct, frozen=True):
    """What is printed. `outcome`: possible, refused or done. `steps`: to do, or done."""

    service: str
    outcome: str
    role: str
    system_identifier: str
    findings: tuple[Finding, ...]
    steps: tuple[str, ...]
    topology: tuple[str, ...]


def adopt(config: AgentConfig, asked: Asked) -> int:
    """Carry it out or say what would be done; the exit status."""
    try:
        plan = _plan(config, asked)
    except ConfigError as error:
        typer.echo(str(error), err=True)  # each of its findings says that it is an error
        return 2
    except (Unplanned, EngineError) as error:
        typer.echo(f"error: {error}", err=True)
        return USAGE
    try:
        shown = asyncio.run(_shown(plan, asked.dry_run))
    except (AdoptError, EngineError, DurableError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        return FAILED
    (_print_json if asked.as_json else _print_table)(shown)
    _say_what_next(plan, shown)
    return REFUSED if shown.outcome == "refused" else 0


def _plan(config: AgentConfig, asked: Asked) -> Plan:
    try:
        service = config.service(asked.service)
    except KeyError:
        known = ", ".join(service.name for service in config.services) or "none"
        raise Unplanned(f"--service {asked.service}: the agent's file has {known}") from None
    engine = postgres_config(service)
    check(engine)
    plan = Plan(
        cluster=config.cluster,
        agent=config.agent,
        service=service,
        engine=engine,
        state_directory=config.state_directory,
        superuser=asked.superuser,
        consent=asked.consent,
        step=Step.PREPARE if asked.prepare else Step.TAKE_OVER,
    )
    if asked.topology is None:
        if not asked.dry_run:
            raise Unplanned("--topology FILE is needed: a copy of the controller's file")
        return plan
    plan = with_topology(plan, config, load_topology(asked.topology).value)
    if asked.prepare and not plan.partner:
        raise Unplanned("--prepare: the topology declares no partner for this copy; leave it out")
    return plan


async def _shown(plan: Plan, dry_run: bool) -> Shown:
    done: tuple[str, ...] = ()
    if dry_run:
        seen = await examine(plan)
    else:
        seen, done = await carry_out(plan)
    outcome = "refused" if seen.refused else "possible" if dry_run else "done"
    return Shown(
        service=plan.service.name,
        outcome=outcome,
        role=("standby" if seen.facts.standby else "primary") if seen.facts else "",
        system_identifier=seen.facts.system_identifier if seen.facts else seen.stopped,
        findings=seen.findings,
        steps=done or steps(plan, seen),
        topology=_topology_lines(plan, seen),
    )


def _topology_lines(plan: Plan, seen: Seen) -> tuple[str, ...]:
    """For a topology that does not know this copy yet."""
    if seen.facts is None or plan.part is not None:
        return ()
    priority = 2 if seen.facts.standby else 1
    address = f"HOST:{seen.facts.settings['port']}"
    return (
        f"- name: {plan.service.name}",
        f'  system_identifier: "{seen.facts.system_identifier}"',
        "  replicas:",
        f"    - {{site: SITE, agent: {plan.agent}, priority: {priority}, address: {address}}}",
    )


def _print_json(shown: Shown) -> None:
    print(msgspec.json.encode(shown).decode())


def _print_table(shown: Shown) -> None:
    console = Console(soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for title in ("", "what", "found", "mend"):
        table.add_column(title, overflow="fold")
    colors = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}
    for finding in shown.findings:
        level = f"[{colors[finding.level]}]{finding.level.value}[/]"
        table.add_row(level, finding.what, _plain(finding.found), _plain(finding.mend))
    console.print(table)
    for title, lines in (
        ("Done:" if shown.outcome == "done" else "Would be done:", shown.steps),
        ("Lines for the topology:", shown.topology),
    ):
        if lines:
            console.print(f"\n{title}")
            for line in lines:
                console.print(f"  {line}", markup=False, highlight=False)


def _plain(text: str) -> str:
    """Brackets in a file's name are no markup."""
    return text.replace("[", r"\[")


def _say_what_next(plan: Plan, shown: Shown) -> None:
    if shown.outcome == "refused":
        typer.echo("refused: nothing was changed; mend what failed, then run it again", err=True)
    elif shown.outcome == "possible":
        typer.echo("dry run: nothing was changed", err=True)
    elif plan.step is Step.PREPARE:
        typer.echo("prepared; next adopt the standby on its own host", err=True)
    else:
        typer.echo(f"now start agent {plan.agent}: clients wait for it", err=True)
