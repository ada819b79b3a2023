"""`saling what-if`: what the rules would decide if sites, links or the controller were lost."""

from __future__ import annotations

from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from controller.cli.client import Client
from controller.cli.exits import CommandFailed, Exit
from controller.cli.figures import duration, size
from controller.cli.output import Output, data_console, print_json
from controller.cli.wire import read
from controller.core.what_if import Forecast

BAD, DOUBTFUL, GOOD = "bold red", "yellow", "green"


class Loss(Struct, frozen=True):
    """What is lost at once, as it was asked."""

    lose: tuple[str, ...] = ()
    cut: tuple[tuple[str, str], ...] = ()
    kill_controller: bool = False

    def query(self, services: tuple[str, ...]) -> list[tuple[str, str]]:
        """As the API takes it. Raises CommandFailed where nothing is lost."""
        if not (self.lose or self.cut or self.kill_controller):
            raise CommandFailed("name what is lost: --lose, --cut, --kill-controller", Exit.USAGE)
        asked = [("lose", site) for site in self.lose]
        asked += [("cut", ",".join(ends)) for ends in self.cut]
        if self.kill_controller:
            asked.append(("kill_controller", "true"))
        return [*asked, *(("service", name) for name in services)]


class Answer(Struct, frozen=True):
    """The body of GET /api/v1/what-if."""

    controller_lost: bool
    all_served: bool
    services: tuple[Forecast, ...]


def show_forecast(client: Client, loss: Loss, services: tuple[str, ...], output: Output) -> Exit:
    """Print it; whether every service would be served."""
    raw = client.what_if(loss.query(services))
    answer = read(raw, Answer, "forecast")
    if output is Output.JSON:
        print_json(raw)
    else:
        _print(data_console(), answer)
    return Exit.OK if answer.all_served else Exit.DEGRADED


def _print(console: Console, answer: Answer) -> None:
    """What is worst stands first; what stays as it is is named only."""
    if answer.controller_lost:
        text = "The controller would be lost: nothing is moved until it is back."
        console.print(Text(text, style="bold"))
    console.print(Text(_headline(answer.services), style="bold"))
    for one in sorted(answer.services, key=_rank):
        if not _untouched(one):
            _print_service(console, one)
    same = [one.service for one in answer.services if _untouched(one)]
    if same:
        console.print(Text(f"As before, served and protected: {', '.join(same)}", style=GOOD))


def _headline(services: tuple[Forecast, ...]) -> str:
    served = [one for one in services if one.served]
    bare = sum(not one.protected for one in served)
    outages = sum(one.outage_ms > 0 for one in served)
    return (
        f"Of {len(services)} services {len(services) - len(served)} would be served by nobody, "
        f"{sum(one.held for one in services)} HELD, {outages} served after an outage, "
        f"{bare} served without protection."
    )


def _rank(one: Forecast) -> tuple[bool, bool, bool, str]:
    return one.served, not one.held, one.protected, one.service


def _untouched(one: Forecast) -> bool:
    return one.served and one.protected and not one.steps and one.outage_ms == 0


def _print_service(console: Console, one: Forecast) -> None:
    lines = Table.grid()
    lines.add_column(width=2)
    lines.add_column(overflow="fold")
    for step in one.steps:
        change = step.change
        way = f"{change.from_phase} to {change.to_phase}"
        lines.add_row("", f"after {duration(step.within_ms)} at most: {way}: {change.because}")
    if one.why and (not one.steps or one.why != one.steps[-1].change.because):
        lines.add_row("", one.why)
    lines.add_row("", _figures(one))
    if not one.protected:
        lines.add_row("", Text(_afterwards(one), style="bold"))
    console.print(Text.assemble((one.service, "bold"), "  ", _verdict(one)))
    console.print(lines)


def _verdict(one: Forecast) -> Text:
    where = f"({one.phase}, epoch {one.epoch})"
    if one.held:
        writes = f"{one.primary} writes on" if one.served else "nobody takes writes"
        return Text(f"would be HELD, {writes} (epoch {one.epoch})", style=BAD)
    if not one.served:
        return Text(f"nobody would take writes {where}", style=BAD)
    guard = "protected" if one.protected else "unprotected"
    style = GOOD if one.protected else DOUBTFUL
    return Text(f"served by {one.primary}, {guard} {where}", style=style)


def _afterwards(one: Forecast) -> str:
    was = "" if one.was_protected else ", as it is now"
    when = f" {duration(one.looked_ms)} after the loss" if one.looked_ms else ""
    return f"unprotected{when}{was}: {one.mend}"


def _figures(one: Forecast) -> str:
    lost = f"estimated loss {size(one.loss_bytes)}"
    if one.served and one.outage_ms == 0:
        return "no outage; nothing is lost"
    if one.served:
        return f"writes again after {duration(one.outage_ms)} at most; {lost}"
    end = "at once" if one.writes_end_ms == 0 else f"after {duration(one.writes_end_ms)} at most"
    return f"writes end {end}, until it is mended; {lost}"
