"""The command `saling-agent`: runs the agent, examines its host, adopts, holds its role, tells of
symptoms, or stops everything.

Exit status: 0 ended as told, 1 failed, 2 the configuration or the host does not allow to start,
3 (doctor) only warnings, 4 (adopt, hold, stop) refused by a safety rule. Logs go to stderr.
"""

from __future__ import annotations

import asyncio
import errno
import getpass
import logging
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import msgspec
import structlog
import typer

from agents.adoption.command import Asked as AdoptionAsked
from agents.adoption.command import adopt as adopt_server
from agents.assembly import StartError, assemble
from agents.doctor.command import Output, examine, show
from agents.durable import DurableError, lock_directory, prepare_directory
from agents.host import symptom_command
from agents.host.symptom_command import SymptomError, SymptomRefused
from agents.runtime import Agent
from agents.stopping import PrimaryHere, StopError, stop_host
from agents.veto.command import VetoError, VetoRefused, as_json, as_line, new_id, read_time, shown
from agents.veto.command import ask as ask_veto
from agents.veto.file import Asked
from config.agent import AgentConfig
from config.files import check_agent_files
from config.loader import Loaded, load_agent
from config.problems import ConfigError

HELPER_THREADS = 64
"""A broker that hangs while it is connected to holds one; engines must not wait for those."""

log = structlog.get_logger("agent")

application = typer.Typer(
    add_completion=False, no_args_is_help=False, pretty_exceptions_enable=False
)

symptom = typer.Typer(no_args_is_help=True, help="What is not well at this host.")
application.add_typer(symptom, name="symptom")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="The agent's configuration file.")
]
OutputOption = Annotated[Output, typer.Option("--output", help="table or json.")]
KindArgument = Annotated[str, typer.Argument(help="Such as power, cooling, network.")]
ByOption = Annotated[str | None, typer.Option("--by", help="Who asks; this user if left out.")]


@application.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    config: ConfigOption = None,
    log_format: Annotated[
        str, typer.Option("--log-format", help="text, or json for one object a line.")
    ] = "text",
) -> None:
    """Run the agent of this host. It ends on SIGTERM; engines go on under their guards."""
    if context.invoked_subcommand is not None:
        context.obj = config
        return
    set_up_logs(log_format)
    loaded = _load(config)
    status = asyncio.run(_run(loaded.value))
    if status:
        # A disk that hangs would hold up an orderly exit for ever.
        sys.stderr.flush()
        os._exit(status)


@application.command()
def doctor(
    context: typer.Context,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say what is missing on this host and how to mend it, and the grants that roles need."""
    file = config or context.obj
    if file is None:
        raise typer.BadParameter("name the agent's file: --config FILE")
    findings = asyncio.run(examine(file))
    raise typer.Exit(show(findings, output))


@application.command()
def adopt(
    context: typer.Context,
    service: Annotated[str, typer.Option("--service", help="Which of the file's services.")],
    config: ConfigOption = None,
    topology: Annotated[
        Path | None, typer.Option("--topology", help="A copy of the controller's file.")
    ] = None,
    superuser: Annotated[
        str, typer.Option("--superuser", help="The DBA's role, over the server's socket.")
    ] = "postgres",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say it, change nothing.")] = False,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Roles, slot and rules on the primary; no restart.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Also keep Debian's start.conf from starting it.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Bring a running PostgreSQL under Saling's control: no reseed, one short restart."""
    loaded = _load(config or context.obj)
    as_json = output is Output.JSON
    asked = AdoptionAsked(service, topology, superuser, dry_run, prepare, yes, as_json)
    raise typer.Exit(adopt_server(loaded.value, asked))


@application.command()
def stop(
    context: typer.Context,
    config: ConfigOption = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Also a primary that writes: its service is down.")
    ] = False,
) -> None:
    """Stop the agent of this host, its engines and their guards, in order."""
    set_up_logs("text")
    loaded = _load(config or context.obj)
    try:
        asyncio.run(stop_host(loaded.value, typer.echo, primaries_too=yes))
    except PrimaryHere as refusal:
        typer.echo(f"refused: {refusal}", err=True)
        raise typer.Exit(4) from None
    except StopError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


@application.command()
def hold(
    context: typer.Context,
    config: ConfigOption = None,
    lasts: Annotated[
        str | None, typer.Option("--for", help="For how long, such as 90m or 2h.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; shown in the centre.")] = "",
    by: ByOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Forbid any change of this host's role for a time; without --for, show what is in force."""
    loaded = _load(config or context.obj)
    if lasts is None and not reason and by is None:
        _show_hold(loaded.value, output)
        return
    try:
        if lasts is None:
            raise ValueError("--for: say for how long, such as 90m or 2h; nothing was done")
        for_ms = read_time(lasts)
        if not reason.strip():
            raise ValueError("--reason: say why; it is shown in the centre")
        asked = Asked(new_id(), _asker(by), _line(reason, 500), for_ms)
    except ValueError as fault:
        typer.echo(f"error: {fault}", err=True)
        raise typer.Exit(2) from None
    _ask_hold(loaded.value, asked)
    _show_hold(loaded.value, output)


@application.command()
def release(
    context: typer.Context,
    config: ConfigOption = None,
    by: ByOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """End what `saling-agent hold` began; nothing in force is no error."""
    loaded = _load(config or context.obj)
    ended = _ask_hold(loaded.value, Asked(new_id(), _asker(by)))
    _show_hold(loaded.value, output)
    typer.echo("a hold was ended" if ended else "there was none to end", err=True)


@symptom.command("report")
def report_symptom(
    context: typer.Context,
    kind: KindArgument,
    text: Annotated[str, typer.Option("--text", help="What is not well, in one line.")],
    lasts: Annotated[str, typer.Option("--for", help="It ends by itself after this: 10m, 2h.")],
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Tell the centre that something is not well here, for a time; again, to go on."""
    loaded = _load(config or context.obj)
    told = _told(lambda: symptom_command.report(loaded.value, kind, text, lasts))
    line = f"{kind} is told of, until it is withdrawn or {lasts} have gone by"
    typer.echo(msgspec.json.encode(told).decode() if output is Output.JSON else line)


@symptom.command("withdraw")
def withdraw_symptom(
    context: typer.Context,
    kind: KindArgument,
    config: ConfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """What was reported is over; nothing reported is no error."""
    loaded = _load(config or context.obj)
    told = _told(lambda: symptom_command.withdraw(loaded.value, kind))
    line = f"{kind} is withdrawn" if told["was_there"] else f"{kind} was not reported"
    typer.echo(msgspec.json.encode(told).decode() if output is Output.JSON else line)


@symptom.command("list")
def list_symptoms(
    context: typer.Context, config: ConfigOption = None, output: OutputOption = Output.TABLE
) -> None:
    """All that the agent tells the centre of: reported, checked, and seen by itself."""
    loaded = _load(config or context.obj)
    told = _told(lambda: symptom_command.listed(loaded.value))
    lines = symptom_command.as_lines(told, loaded.value.agent)
    typer.echo(msgspec.json.encode(told).decode() if output is Output.JSON else lines)


def main() -> None:
    """Entry of the command."""
    application(prog_name="saling-agent")


def set_up_logs(log_format: str) -> None:
    """Lines for people, or JSON for collectors."""
    # The MQTT client reports what the link already says.
    logging.getLogger("mqtt").setLevel(logging.CRITICAL)
    is_json = log_format == "json"
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if is_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _told(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return ask()
    except SymptomRefused as refusal:
        typer.echo(f"error: {refusal}", err=True)
        raise typer.Exit(refusal.status) from None
    except SymptomError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def _ask_hold(config: AgentConfig, asked: Asked) -> bool:
    try:
        return ask_veto(config, asked)
    except VetoRefused as refusal:
        typer.echo(f"refused: {refusal}; nothing was done", err=True)
        raise typer.Exit(4) from None
    except VetoError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def _show_hold(config: AgentConfig, output: Output) -> None:
    try:
        told = shown(config)
    except VetoError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(as_json(told) if output is Output.JSON else as_line(told))


def _asker(by: str | None) -> str:
    return _line(by if by is not None else getpass.getuser(), 100)


def _line(text: str, at_most: int) -> str:
    return " ".join(text.split())[:at_most]


def _load(file: Path | None) -> Loaded[AgentConfig]:
    if file is None:
        typer.echo("error: name the agent's file: saling-agent --config FILE", err=True)
        raise typer.Exit(2)
    try:
        loaded = load_agent(file)
        problems = check_agent_files(loaded.value, loaded.base, loaded.file)
        if problems:
            raise ConfigError(problems)
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    for warning in loaded.warnings:
        typer.echo(warning.render(), err=True)
    return loaded


async def _run(config: AgentConfig) -> int:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(HELPER_THREADS, thread_name_prefix="helper"))
    try:
        prepare_directory(config.state_directory)
        lock = lock_directory(config.state_directory)
        agent = Agent(assemble(config))
    except (StartError, DurableError, OSError) as error:
        log.error("the agent cannot start", agent=config.agent, **_start_problem(error, config))
        return 2
    try:
        return await _until_told(agent, config)
    finally:
        os.close(lock)


def _start_problem(error: Exception, config: AgentConfig) -> dict[str, str]:
    """What is wrong, where, and the mend. Errors of our own say all of it themselves."""
    if not isinstance(error, OSError):
        return {"error": str(error)}
    path = error.filename or config.state_directory
    mend = {
        errno.ENOSPC: "make room on its disk",
        errno.EDQUOT: "raise the quota of the agent's user, or make room",
        errno.EROFS: "mount its file system for writing",
        errno.EACCES: "give it to the agent's user",
        errno.EPERM: "give it to the agent's user",
    }.get(error.errno or 0, "see to the directory and its disk; `saling-agent doctor` says more")
    return {"error": f"{path}: {error.strerror or error}", "mend": mend}


async def _until_told(agent: Agent, config: AgentConfig) -> int:
    loop = asyncio.get_running_loop()
    work = asyncio.create_task(agent.run(), name="agent")
    told: list[str] = []

    def end(name: str) -> None:
        told.append(name)
        work.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number.name)
    log.info("the agent runs", agent=config.agent, site=config.site, listen=config.listen)
    await asyncio.wait({work})
    if work.cancelled():
        log.info(
            "the agent ends; engines go on under their guards, a leased primary for as long as its "
            "lease lasts",
            told_by=told[0] if told else "",
        )
        return 0
    error = work.exception()
    text = _first(error) if error else "it ended by itself"
    log.critical("the agent stops; the guards hold the deadlines", error=text, exc_info=error)
    return 1


def _first(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__


if __name__ == "__main__":
    main()
