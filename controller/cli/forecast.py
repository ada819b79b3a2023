"""`saling what-if`: what the rules would decide if sites, links or the controller were lost."""

from __future__ import annotations

from collections import Counter
from typing import Any

from msgspec import Struct
from rich.console import Console, Group
from rich.text import Text

from controller.cli.client import Client
from controller.cli.exits import CommandFailed, Exit
from controller.cli.figures import counted, duration, size
from controller.cli.output import Output, data_console, folded, print_json
from controller.cli.plain import plain
from controller.cli.table import Below
from controller.cli.wire import read
from controller.core.foresight.what_if import Forecast

AT_MOST = 64
"""So many things may be named at once, as in the API."""
OPTIONS = {"query: lose": "--lose", "query: cut": "--cut", "query: service": "--service"}
"""What the API calls where it finds fault, and what the command calls it."""
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
        asked += [("service", name) for name in services]
        if len(asked) > AT_MOST:
            text = f"{len(asked)} things are named, and {AT_MOST} are the most: name fewer"
            raise CommandFailed(text, Exit.USAGE)
        return asked


class Answer(Struct, frozen=True):
    """The body of GET /api/v1/what-if."""

    controller_lost: bool
    all_served: bool
    services: tuple[Forecast, ...]


def show_forecast(client: Client, loss: Loss, services: tuple[str, ...], output: Output) -> Exit:
    """Print it; whether every service would be served."""
    raw = _ask(client, loss.query(services))
    answer = read(raw, Answer, "forecast")
    if output is Output.JSON:
        print_json(raw)
    else:
        _print(data_console(), answer)
    return Exit.OK if answer.all_served else Exit.DEGRADED


def _ask(client: Client, query: list[tuple[str, str]]) -> Any:
    """What is not known is told in the command's own words. Raises CommandFailed."""
    try:
        return client.what_if(query)
    except CommandFailed as error:
        told = plain(error.body) if isinstance(error.body, dict) else {}
        option = OPTIONS.get(str(told.get("where")))
        if option is None:
            raise
        lines = [
            folded(f"{option}: {told.get('error', '')}"),
            folded(f"  mend: {told.get('mend', '')}", "    "),
        ]
        raise CommandFailed("\n".join(lines), error.code, error.body) from None


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
    """Each service counts once, under what is worst about it."""
    kinds = Counter(_kind(one) for one in sorted(services, key=_rank))
    told = "; ".join(f"{number} {kind}" for kind, number in kinds.items())
    return f"{counted(len(services), 'service')}: {told or 'nothing to foresee'}."


def _kind(one: Forecast) -> str:
    if one.held:
        return "HELD, writes go on" if one.served else "HELD and served by nobody"
    if not one.served:
        return "served by nobody"
    guard = "and protected" if one.protected else "but unprotected"
    return f"served after an outage {guard}" if one.outage_ms else f"served all along {guard}"


def _rank(one: Forecast) -> tuple[bool, bool, bool, str]:
    return one.served, not one.held, one.protected, one.service


def _untouched(one: Forecast) -> bool:
    return one.served and one.protected and not one.steps and one.outage_ms == 0


def _print_service(console: Console, one: Forecast) -> None:
    told: list[str | Text] = []
    for step in one.steps:
        change = step.change
        way = f"{change.from_phase} to {change.to_phase}"
        told.append(f"after {duration(step.within_ms)} at most: {way}: {change.because}")
    if one.why and (not one.steps or one.why != one.steps[-1].change.because):
        told.append(one.why)
    told.append(_figures(one))
    if not one.protected:
        told.append(Text(_afterwards(one), style="bold"))
    console.print(Text.assemble((one.service, "bold"), "  ", _verdict(one)))
    console.print(Group(*(Below(text if isinstance(text, Text) else Text(text)) for text in told)))


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
    """How it stands when the forecast ends, which is no moment at which anything ends."""
    state = "unprotected" if one.served else "unserved"
    now = "" if one.was_protected else "unprotected now, "
    if not one.looked_ms:
        return f"{now}{state} after the loss: {one.mend}"
    looked = f"when last looked, {duration(one.looked_ms)} after the loss"
    return f"{now}still {state} {looked}: {one.mend}"


def _figures(one: Forecast) -> str:
    lost = f"estimated loss {size(one.loss_bytes)}"
    if one.served and one.outage_ms == 0:
        return "no outage; nothing is lost"
    if one.served:
        return f"writes again after {duration(one.outage_ms)} at most; {lost}"
    end = "at once" if one.writes_end_ms == 0 else f"after {duration(one.writes_end_ms)} at most"
    return f"writes end {end}, until it is mended; {lost}"
