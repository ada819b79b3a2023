"""`saling caution`: care at a site, by a person's word; and what feeds and people said."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer
from msgspec import Struct
from rich.text import Text

from controller.cli.absence import read_time
from controller.cli.exits import CommandFailed, Exit
from controller.cli.figures import duration, moment
from controller.cli.options import Lasts, Said, SaidWhy, Session, Site, bundled
from controller.cli.output import Output, data_console, print_json, say
from controller.cli.wire import CautionView, read

commands = typer.Typer(
    help="Caution at a site: planned moves to it ask for a person. It never moves anything.",
    no_args_is_help=True,
)
Sites = Annotated[list[str], typer.Option("--site", help="A site in its reach; repeatable.")]
LEVELS = {"1": 1, "2": 2, "3": 3, "4": 4, "i": 1, "ii": 2, "iii": 3, "iv": 4}
LEVEL_NAMES = {"normal": 1, "waspada": 2, "siaga": 3, "awas": 4}


class FeedLine(Struct, frozen=True):
    """One feed."""

    name: str
    source: str
    age_ms: int
    stale: bool
    problem: str = ""


class HazardsView(Struct, frozen=True):
    """Feeds and cautions."""

    feeds: tuple[FeedLine, ...]
    cautions: tuple[CautionView, ...]


class SiteAnswer(Struct, frozen=True):
    """The answer about one site."""

    site: str
    text: str


@commands.command("set")
@bundled
def begin(
    site: Site,
    *,
    lasts: Lasts,
    said: SaidWhy,
    session: Session,
) -> None:
    """Take care at a site. Said once more, the time is counted anew."""
    _ask(session, [site], "caution", said.body(for_ms=read_time(lasts)))


@commands.command("end")
@bundled
def end(
    site: Site,
    *,
    caution: Annotated[str, typer.Option("--id", help="Only this one, as `list` names it.")] = "",
    said: Said,
    session: Session,
) -> None:
    """End cautions of a site before their time. No feed brings the same ones back."""
    _ask(session, [site], "caution-end", said.body(caution=caution))


@commands.command("volcano")
@bundled
def volcano(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the volcano.")],
    level: Annotated[
        str, typer.Argument(metavar="LEVEL", help="I Normal, II Waspada, III Siaga, IV Awas.")
    ],
    *,
    site: Sites,
    lasts: Annotated[str, typer.Option("--for", help="For how long; a week if left out.")] = "",
    said: Said,
    session: Session,
) -> None:
    """The level of a volcano: II and above ask for care at the sites, I ends it."""
    body = said.body(volcano=name, level=read_level(level))
    if lasts:
        body["for_ms"] = read_time(lasts)
    _ask(session, site, "caution", body)


@commands.command("list")
@bundled
def show(session: Session) -> None:
    """What care is taken where, on whose word, for how long still; and the feeds."""
    raw = session.client().hazards()
    if session.output is Output.JSON:
        print_json(raw)
        return
    told = read(raw, HazardsView, "hazards")
    for line in (*_caution_lines(told), *_feed_lines(told)):
        data_console().print(line, soft_wrap=True)


def read_level(text: str) -> int:
    """`III`, `3`, `Siaga` or `III (Siaga)` as a number. Raises CommandFailed."""
    words = re.findall(r"[a-z0-9]+", text.casefold())
    found = {LEVELS.get(word) or LEVEL_NAMES.get(word) for word in words}
    if len(found) != 1 or None in found:
        raise CommandFailed(
            f"{text[:40]!a} is no level of a volcano: give I (Normal), II (Waspada), III (Siaga) "
            "or IV (Awas); nothing was done",
            Exit.USAGE,
        )
    (level,) = (one for one in found if one is not None)
    return level


def _ask(session: Session, sites: list[str], kind: str, body: dict[str, Any]) -> None:
    """Of each site, one after the other; each is answered by itself."""
    client, told = session.client(), list[Any]()
    try:
        for site in sites:
            told.append(client.ask_site(site, kind, body))
    except CommandFailed:
        if told:
            say(f"done before that: {', '.join(sites[: len(told)])}", "yellow")
        raise
    if session.output is Output.JSON:
        print_json({"sites": told})
        return
    for raw in told:
        answer = read(raw, SiteAnswer, "answer")
        data_console().print(f"{answer.site}: {answer.text}", soft_wrap=True)


def _caution_lines(told: HazardsView) -> list[Text]:
    if not told.cautions:
        return [Text("no caution is on")]
    lines = []
    for one in told.cautions:
        lines.append(
            Text.assemble(
                (one.site, "bold yellow"),
                f"  {one.text} ({one.source}), since {moment(one.begun_at_ms)}, "
                f"{duration(one.left_ms)} left  [{one.id}]",
            )
        )
        if one.reason:
            lines.append(Text(f"    {one.reason}"))
    return lines


def _never(stale: bool) -> str:
    return "never heard since the controller began" + (", stale" if stale else "")


def _feed_lines(told: HazardsView) -> list[Text]:
    lines = []
    for feed in told.feeds:
        problem = f", {feed.problem}" if feed.problem else ""
        style = "red" if feed.stale else "yellow" if feed.problem else ""
        state = "stale" if feed.stale else "heard"
        ago = f"{state} {duration(feed.age_ms)} ago" if feed.age_ms >= 0 else _never(feed.stale)
        text = f"feed {feed.name} ({feed.source}): {ago}{problem}"
        lines.append(Text(text, style=style))
    return lines
