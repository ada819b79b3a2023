"""The link between two sites: whether their agents reach each other while both are reached by
others. That is a finding, and no site's fault: nothing is moved for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from controller.core.actions import Note
from controller.core.happening import About, Happening
from controller.core.site_model import LinkHealth, LinkState, SiteState
from controller.core.sites.look import Answers, Look, Sight, ago, named, overall
from controller.core.sites.shared_risk import (
    cause_told,
    declared_between,
    is_broken,
    risk_told,
    shared_risk,
    with_common_causes,
)
from controller.core.sites.steady import begun, settled

BEST_FIRST = (LinkHealth.UP, LinkHealth.UNKNOWN, LinkHealth.ONE_WAY, LinkHealth.CUT)
DWELL_MS = 3000
"""Five probes in a row were lost already when it begins to count."""


class Ends(NamedTuple):
    """Both ends of a link, and what they say of each other."""

    one: SiteState
    other: SiteState
    there: Answers
    back: Answers


def judged_links(look: Look) -> tuple[tuple[LinkState, ...], list[Note]]:
    """All links between active sites, and what changed."""
    # A reload may name the sites in another order: it is the same link.
    before = {tuple(sorted(link.sites)): link for link in look.nation.links}
    known, judged = [], []
    for ends in _all_ends(look):
        sites = (ends.one.spec.name, ends.other.spec.name)
        was = before.get(tuple(sorted(sites))) or LinkState(sites, since_ms=look.now_ms)
        known.append(replace(was, sites=sites))
        judged.append(_judged(look, ends, known[-1]))
    links = told_together(judged)
    notes = [
        _note(link, was.health)
        for was, link in zip(known, links, strict=True)
        if link.health is not was.health and (is_broken(link) or is_broken(was))
    ]
    return links, notes


def told_together(judged: list[LinkState]) -> tuple[LinkState, ...]:
    """The links, each broken one with what follows from it, and what else may be of its cause."""
    links = with_common_causes(judged)
    return tuple(
        replace(link, because=link.because + _consequence(link, links)) if is_broken(link) else link
        for link in links
    )


def _all_ends(look: Look) -> Iterator[Ends]:
    for index, one in enumerate(look.active):
        for other in look.active[index + 1 :]:
            there = overall(look.sights(one.spec.name, other.spec.name))
            back = overall(look.sights(other.spec.name, one.spec.name))
            yield Ends(one, other, there, back)


def _judged(look: Look, ends: Ends, known: LinkState) -> LinkState:
    seen, why = _seen(look, ends)
    steady = known.steady or begun(LinkHealth.UNKNOWN, look.now_ms)
    steady = settled(steady, seen, BEST_FIRST, DWELL_MS, look.now_ms)
    health = LinkHealth(steady.believed)
    if seen is not health:
        why += f"; it counts as {health.value} until that has lasted"
    declared = declared_between(look.nation.link_specs, *known.sites)
    return replace(
        known,
        health=health,
        because=why,
        since_ms=steady.since_ms,
        shared_risk=shared_risk(ends.one.spec, ends.other.spec, declared),
        declared=declared,
        at_risk=look.between(*known.sites),
        steady=steady,
    )


def _seen(look: Look, ends: Ends) -> tuple[LinkHealth, str]:
    one, other = ends.one.spec.name, ends.other.spec.name
    said = {ends.there, ends.back}
    if said == {Answers.YES} or said == {Answers.YES, Answers.UNTOLD}:
        return LinkHealth.UP, _round_trip(look, one, other)
    if Answers.NO not in said:
        return LinkHealth.UNKNOWN, "nobody has looked for long enough"
    for end in (ends.one, ends.other):
        away = _beyond_the_link(look, end, ends)
        if away:
            return LinkHealth.UNKNOWN, away
    both = f"{one} and {other} are both heard and reached by others"
    if said == {Answers.NO, Answers.YES}:
        first, second = (one, other) if ends.there is Answers.NO else (other, one)
        return LinkHealth.ONE_WAY, f"{both}, and {first} does not reach {second}, only back"
    if said == {Answers.NO, Answers.UNTOLD}:
        first, second = (one, other) if ends.there is Answers.NO else (other, one)
        text = f"{both}, and {first} does not reach {second}; {second} does not say"
        return LinkHealth.ONE_WAY, text
    sights = [*look.sights(one, other), *look.sights(other, one)]
    return LinkHealth.CUT, f"{both}, and have not reached each other for {_cut_for(sights)}"


def _beyond_the_link(look: Look, end: SiteState, ends: Ends) -> str:
    """Why it is not the link alone: an end that is not heard, or that no other site reaches."""
    name = end.spec.name
    if not look.heard_of(end):
        return f"{name} is not heard: its own state says more"
    others = [site.spec.name for site in look.active if site not in (ends.one, ends.other)]
    said = [overall(look.sights(site, name)) for site in others]
    if Answers.NO in said and Answers.YES not in said:
        return f"{name} is reached by no other site either: its own state says more"
    return ""


def _cut_for(sights: list[Sight]) -> str:
    return ago(min(sight.age_ms for sight in sights if sight.is_heard))


def _round_trip(look: Look, one: str, other: str) -> str:
    sights = [*look.sights(one, other), *look.sights(other, one)]
    times_us = [s.round_trip_us for s in sights if s.is_heard and s.round_trip_us]
    median_us = sorted(times_us)[(len(times_us) - 1) // 2] if times_us else 0
    asked, lost = sum(s.asked for s in sights), sum(s.lost for s in sights)
    return f"round trip {median_us / 1000:.1f} ms, {lost} of {asked} probes lost of late"


def _consequence(link: LinkState, links: Sequence[LinkState]) -> str:
    declared = [(one.name, one.shared_risk) for one in link.declared]
    told = f"; {risk_told(declared, link.shared_risk)}{cause_told(link, links)}"
    if not link.at_risk:
        return f"{told}; no service has a copy at either end"
    return (
        f"{told}; at risk: {named(link.at_risk)}, whose backups get no log and grant no lease "
        "meanwhile"
    )


def _note(link: LinkState, was: LinkHealth) -> Note:
    what = f"{was.value} -> {link.health.value}"
    return Note(Happening(About.LINK, " <-> ".join(link.sites), what, link.because))
