"""How the sites are, the links between them, and who reaches whom: for `status` and `topology`."""

from __future__ import annotations

from collections import defaultdict

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from controller.cli.figures import duration
from controller.cli.wire import CautionView, LinkView, PathView, SiteView, StateView
from controller.core.site_model import Health, LinkHealth
from controller.core.sites.shared_risk import risk_told

WATCHED_STATES = ("active",)
"""Only in these states of a site is it a fault that nobody is heard there."""
STYLES = {
    Health.HEALTHY: "green",
    Health.DEGRADED: "bold yellow",
    Health.CUT_OFF: "bold red",
    Health.DOWN: "bold red",
    Health.UNKNOWN: "yellow",
}
FAULTS = (Health.DEGRADED, Health.CUT_OFF, Health.DOWN)
BROKEN = (LinkHealth.CUT, LinkHealth.ONE_WAY)
REACHES = "reaches"
CELL, FIGURES = 2, 11
"""What a cell has beside its words, and how wide its words are."""


def is_faulty(site: SiteView) -> bool:
    """Whether somebody should see to a site."""
    return site.state in WATCHED_STATES and site.health in FAULTS


def broken(links: tuple[LinkView, ...]) -> list[LinkView]:
    """The links that somebody should see to."""
    return [link for link in links if link.health in BROKEN]


def health_text(site: SiteView) -> Text:
    """`DEGRADED for 3 min 20 s: disk: ...`; empty where nothing is to be said."""
    text = Text()
    known = site.state in WATCHED_STATES and site.health not in ("", Health.HEALTHY)
    if known:
        text.append(site.health.upper(), style=STYLES.get(Health(site.health), ""))
        text.append(f" for {duration(site.since_ago_ms)}: {site.because}")
    return text


def consequences(site: SiteView) -> str:
    """`evacuate: paspor, pajak; alarm: visa`: what the reasons of a site lead to."""
    by_consequence: dict[str, list[str]] = defaultdict(list)
    for wish in site.wished:
        by_consequence[wish.consequence].append(wish.service)
    return "; ".join(f"{led}: {', '.join(names)}" for led, names in by_consequence.items())


def site_lines(site: SiteView) -> list[Text]:
    """What stands below a site in `status`."""
    lines = [health_text(site)] if health_text(site) else []
    if consequences(site):
        lines.append(Text(f"leads to {consequences(site)}"))
    if site.ready_for:
        lines.append(Text(f"asked to be ready: {site.ready_for}", style="yellow"))
    return lines + [Text(_care(caution), style="yellow") for caution in site.cautions]


def _care(caution: CautionView) -> str:
    left = duration(caution.left_ms)
    return f"caution, {left} left: {caution.text} ({caution.source})"


def link_text(link: LinkView) -> Text:
    """`link jabodetabek <-> batam CUT for 12.0 s: ...`."""
    text = Text(f"link {' <-> '.join(link.sites)} ")
    style = "bold red" if link.health in BROKEN else "green"
    text.append(link.health.upper() if link.health in BROKEN else link.health, style=style)
    text.append(f" for {duration(link.since_ago_ms)}: {link.because}")
    return text


def declared_link(link: LinkView) -> Text:
    """The same for `topology`: also what a cut would put at risk, while there is none."""
    text = link_text(link)
    if link.health not in BROKEN:
        shared = risk_told([(one.name, one.shared_risk) for one in link.declared], link.shared_risk)
        risk = ", ".join(link.at_risk) or "nothing"
        text.append(f"; {shared}; a cut puts at risk: {risk}")
    return text


def matrix(state: StateView, width: int) -> list[RenderableType]:
    """Who reaches whom, from whom (rows) to whom (columns); a line a path where names are long."""
    names = list(dict.fromkeys(end for p in state.paths for end in (p.from_site, p.to_site)))
    needed = sum(CELL + max(len(name), FIGURES) for name in ("from", *names))
    if needed > width:
        return [_path_line(path) for path in state.paths]
    return [_matrix_table(state, names)] if names else []


def _path_line(path: PathView) -> Text:
    figures = _cell(path)
    text = Text(f"{path.from_site} -> {path.to_site}: ")
    return text.append(figures.plain.replace("\n", ", "), style=figures.style)


def _matrix_table(state: StateView, names: list[str]) -> Table:
    cells = {(path.from_site, path.to_site): path for path in state.paths}
    table = Table("from \\ to", *names, box=box.SIMPLE_HEAD, pad_edge=False)
    for one in names:
        table.add_row(one, *(_cell(cells.get((one, other))) for other in names))
    return table


def _cell(path: PathView | None) -> Text:
    """`18.4 ms`, below it `2 % lost`, `0.6 s ago`: narrow, for there are many columns."""
    if path is None:
        return Text("-", style="dim")
    if not path.observers:
        return Text(path.answers, style="dim")
    if path.answers != REACHES:
        return Text(f"{path.answers.upper()}\nfor {duration(path.age_ms)}", style="bold red")
    lost = 100 * path.lost // path.asked if path.asked else 0
    lines = [f"{path.round_trip_us / 1000:.1f} ms", f"{lost} % lost"]
    lines.append(f"{duration(path.age_ms)} ago")
    if path.reaching < path.observers:
        lines.append(f"by {path.reaching} of {path.observers}")
    return Text("\n".join(lines), style="yellow" if lost else "")


def site_data(site: SiteView) -> dict[str, object]:
    """How a site is, for a program."""
    return {
        "health": site.health,
        "because": site.because,
        "since_ago_ms": site.since_ago_ms,
        "reasons": list(site.reasons),
        "ready_for": site.ready_for,
        "wished": [
            {"service": w.service, "consequence": w.consequence, "reasons": list(w.reasons),
             "because": w.because}
            for w in site.wished
        ],
    }  # fmt: skip


def link_data(link: LinkView) -> dict[str, object]:
    """A link, for a program."""
    return {
        "sites": list(link.sites),
        "health": link.health,
        "because": link.because,
        "since_ago_ms": link.since_ago_ms,
        "shared_risk": list(link.shared_risk),
        "declared": [
            {"name": one.name, "shared_risk": list(one.shared_risk)} for one in link.declared
        ],
        "common_cause": list(link.common_cause),
        "at_risk": list(link.at_risk),
    }
