"""The commands that look, and the simple requests: ask the controller, show the answer."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from controller.cli.client import Client
from controller.cli.exits import CommandFailed, Exit, Unreachable
from controller.cli.explain_view import print_explanation
from controller.cli.history_view import print_lines
from controller.cli.output import Output, data_console, print_json
from controller.cli.status_view import (
    announced,
    degraded,
    headline,
    narrowed,
    services_view,
    status_view,
    undrilled_line,
    well,
)
from controller.cli.table import Below
from controller.cli.topology_view import topology_data, topology_view
from controller.cli.wire import History, StateView, read
from controller.core.explanation.explain import Explanation

DECIDED_LAST = 5
"""How many changes `explain` shows."""


def show_status(client: Client, service: str | None, output: Output) -> Exit:
    """Print the state once; whether anything is degraded."""
    raw = client.state()
    _print(raw, service, output, compact=False)
    return _verdict(raw, service)


def watch_status(client: Client, service: str | None, output: Output, interval_s: float) -> Exit:
    """Show the state until Ctrl-C; as JSON one document a line. The last verdict."""
    verdict = Exit.OK
    try:
        if output is Output.JSON or not data_console().is_terminal:
            while True:
                raw = client.state()
                verdict = _verdict(raw, service)
                _print(raw, service, output, compact=True)
                time.sleep(interval_s)
        with Live(console=data_console(), auto_refresh=False, screen=True) as live:
            while True:
                verdict, picture = _next_picture(client, service, live.console.width)
                live.update(picture, refresh=True)
                time.sleep(interval_s)
    except KeyboardInterrupt:
        return verdict


def show_topology(client: Client, output: Output) -> None:
    """Print what is declared."""
    state = _state(client.state())
    if output is Output.JSON:
        print_json(topology_data(state))
    else:
        console = data_console()
        console.print(topology_view(state, console.width))


def show_explanation(client: Client, service: str, output: Output) -> None:
    """Print everything about one service, with the last decisions."""
    raw = client.explain(service)
    explanation = read(raw, Explanation, "explanation")
    try:
        told = client.history(service, DECIDED_LAST)
        problem = ""
    except Unreachable:
        raise
    except CommandFailed as error:
        # Only the history needs the store; all else is worth seeing when the store is down.
        told, problem = {"history": []}, error.text
    if output is Output.JSON:
        print_json({**raw, "history": told["history"], "history_problem": problem})
        return
    lines = read(told, History, "history").history
    print_explanation(data_console(), explanation, lines, problem)


def show_history(client: Client, service: str | None, limit: int, output: Output) -> None:
    """Print what was decided."""
    raw = client.history(service, limit)
    if output is Output.JSON:
        print_json(raw)
        return
    lines = read(raw, History, "history").history
    print_lines(data_console(), lines, with_service=service is None)


def _print(raw: Any, service: str | None, output: Output, compact: bool) -> None:
    if output is Output.JSON:
        print_json(_chosen(raw, service), compact)
    else:
        console = data_console()
        console.print(_picture(raw, service, console.width))


def _next_picture(client: Client, service: str | None, width: int) -> tuple[Exit, RenderableType]:
    """A controller that is away is said in the picture, and asked again for the next one."""
    try:
        raw = client.state()
    except Unreachable as error:
        return Exit.ERROR, Text(error.text, style="bold red")
    note = Text(f"{time.strftime('%H:%M:%S')}, Ctrl-C ends", style="dim")
    return _verdict(raw, service), Group(_picture(raw, service, width), Text(), note)


def _picture(raw: Any, service: str | None, width: int) -> RenderableType:
    state = _state(raw)
    if service is None:
        return status_view(state, width)
    one = _one(state, service)
    untried = [Below(Text(undrilled_line(one), style="yellow"))] if one.not_drilled else []
    return Group(headline(state, width), *services_view((one,), width), *untried)


def _verdict(raw: Any, service: str | None) -> Exit:
    state = _state(raw)
    if service is None:
        return Exit.DEGRADED if degraded(state) else Exit.OK
    one = _one(state, service)
    fine = (well(one) or announced(one)) and one.drilled
    return Exit.OK if fine else Exit.DEGRADED


def _chosen(raw: Any, service: str | None) -> Any:
    """The controller's own words, of one service where one is named."""
    if service is None:
        return raw
    name = _one(_state(raw), service).service
    return next(one for one in raw["services"] if one["service"] == name)


def _one(state: StateView, service: str) -> Explanation:
    found = narrowed(state, service)
    if found is None:
        names = ", ".join(one.service for one in state.services) or "none"
        raise CommandFailed(
            f"there is no service {service[:80]!a}\n  mend: the services are: {names}", Exit.USAGE
        )
    return found


def _state(raw: Any) -> StateView:
    return read(raw, StateView, "state")
