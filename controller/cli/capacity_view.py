"""`saling capacity`: what each site carries, really uses, and would have to carry after a loss."""

from __future__ import annotations

from msgspec import Struct
from rich.text import Text

from config.measures import UNITS
from controller.cli.client import Client
from controller.cli.exits import Exit
from controller.cli.output import Output, data_console, print_json
from controller.cli.table import Cell, table
from controller.cli.wire import read
from controller.core.foresight.capacity import SiteCapacity
from controller.core.site_model import Load, Stage

COLUMNS = ("SITE", "MEASURE", "DECLARED", "DEMANDED NOW", "REALLY USED", "AFTER THE LOSS OF")
UNDECLARED = (
    "no capacity is declared for any site, so nothing is held for the want of room (`capacity` of "
    "a site, `demand` of a service in the configuration)"
)
UNKNOWN = "-"
BAD, WEAK = "bold red", "yellow"


class CapacityView(Struct, frozen=True):
    """All sites."""

    sites: tuple[SiteCapacity, ...]


def show_capacity(client: Client, output: Output) -> Exit:
    """Print it; DEGRADED when somebody waits for room, or would have to."""
    raw = client.capacity()
    told = read(raw, CapacityView, "capacity")
    if output is Output.JSON:
        print_json(raw)
    else:
        console = data_console()
        console.print(table(COLUMNS, _rows(told), console.width))
        if not any(site.declared for site in told.sites):
            console.print(UNDECLARED, soft_wrap=True)
        for site in told.sites:
            for line in _lines(site):
                console.print(line, soft_wrap=True)
    fine = all(site.carries_all for site in told.sites)
    return Exit.OK if fine else Exit.DEGRADED


def _rows(told: CapacityView) -> list[tuple[Cell, ...]]:
    """A line for each measure; the site is named in each, for who looks for its name."""
    return [
        _cells(site, measure)
        for site in told.sites
        for measure in UNITS
        if any(_of(load, measure) for load in (site.declared, site.demanded, site.used))
    ]


def _cells(site: SiteCapacity, measure: str) -> tuple[Cell, ...]:
    has = _of(site.declared, measure)
    demanded = _of(site.demanded, measure)
    after = [(one.lost, _of(one.demanded, measure)) for one in site.after]
    worst = max((load for _lost, load in after), default=0.0)
    told = "\n".join(f"{lost}: {_number(load)}" for lost, load in after)
    return (
        site.site,
        UNITS[measure],
        _number(has),
        Text(_number(demanded), style=_style(demanded, has)),
        _number(_of(site.used, measure)) if site.used else UNKNOWN,
        Text(told, style=_style(worst, has)),
    )


def _lines(site: SiteCapacity) -> list[Text]:
    """What does not fit, in words."""
    lines = []
    if site.stage is not Stage.ACTIVE:
        text = f"{site.site}: is {site.stage.value}, so nobody comes there"
        lines.append(Text(text, style=WEAK))
    if site.waiting:
        text = f"{site.site}: held for the want of room: {', '.join(site.waiting)}"
        lines.append(Text(text, style=BAD))
    for one in site.after:
        if one.held:
            text = f"{site.site}: if {one.lost} is lost, would be HELD: {', '.join(one.held)}"
            lines.append(Text(text, style=BAD))
        if one.given_up:
            names = ", ".join(one.given_up)
            text = f"{site.site}: if {one.lost} is lost, is given up as declared: {names}"
            lines.append(Text(text, style=WEAK))
    return lines


def _of(load: Load | None, measure: str) -> float:
    return float(getattr(load, measure)) if load is not None else 0.0


def _number(value: float) -> str:
    return f"{value:.10g}" if value else UNKNOWN


def _style(value: float, has: float) -> str:
    return BAD if has and value > has else ""
