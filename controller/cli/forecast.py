"""`saling what-if`: what the rules would decide if sites, links or the controller were lost."""

from __future__ import annotations

from msgspec import Struct
from rich.text import Text

from controller.cli.client import Client
from controller.cli.exits import CommandFailed, Exit
from controller.cli.figures import duration, size
from controller.cli.output import Output, data_console, print_json
from controller.cli.wire import read
from controller.core.what_if import Forecast

BAD = "bold red"


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


def pairs(firsts: list[str], seconds: list[str]) -> tuple[tuple[str, str], ...]:
    """The two places of each cut. Raises CommandFailed."""
    if len(firsts) != len(seconds):
        text = "each --cut takes two places, as in --cut batam bali; nothing else is an argument"
        raise CommandFailed(text, Exit.USAGE)
    return tuple(zip(firsts, seconds, strict=True))


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
        console = data_console()
        if answer.controller_lost:
            text = "The controller would be lost: nothing is moved until it is back."
            console.print(Text(text, style="bold"))
        for one in answer.services:
            for line in _lines(one):
                console.print(line, soft_wrap=True)
    return Exit.OK if answer.all_served else Exit.DEGRADED


def _lines(one: Forecast) -> list[Text]:
    lines = [Text.assemble((one.service, "bold"), "  ", _verdict(one))]
    for step in one.steps:
        change = step.change
        way = f"{change.from_phase} to {change.to_phase}"
        lines.append(
            Text(f"  at the latest after {duration(step.within_ms)}: {way}: {change.because}")
        )
    if not one.steps:
        lines.append(Text(f"  {one.why}"))
    lines.append(Text(f"  {_figures(one)}"))
    if not one.protected:
        lines.append(Text(f"  afterwards: {one.mend}", style="bold"))
    return lines


def _verdict(one: Forecast) -> Text:
    if one.held:
        writes = f"{one.primary} writes on" if one.served else "nobody takes writes"
        return Text(f"would be HELD, {writes} (epoch {one.epoch})", style=BAD)
    if not one.served:
        return Text(f"nobody would take writes ({one.phase}, epoch {one.epoch})", style=BAD)
    guard = "protected" if one.protected else "unprotected"
    style = "green" if one.protected else "yellow"
    return Text(f"served by {one.primary}, {guard} ({one.phase}, epoch {one.epoch})", style=style)


def _figures(one: Forecast) -> str:
    if one.served and one.outage_ms == 0:
        return "no outage; nothing is lost"
    if one.served:
        lost = size(one.loss_bytes)
        return f"outage {duration(one.outage_ms)} at the latest; estimated loss {lost}"
    end = "at once" if one.writes_end_ms == 0 else f"after {duration(one.writes_end_ms)}"
    what = f"; estimated loss {size(one.loss_bytes)}" if one.held else ""
    return f"writes end {end} at the latest, until it is mended{what}"
