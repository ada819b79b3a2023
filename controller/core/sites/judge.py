"""The sites and the links between them are judged, at most a few times a second."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from controller.core.actions import Note
from controller.core.happening import About, Happening
from controller.core.model import ServiceState
from controller.core.site_model import Health, Nation, SiteState, Stage, Steady
from controller.core.sites.degraded import seen_at
from controller.core.sites.health import BEST_FIRST, WORSE_AFTER_MS, Verdict, dwell_ms, verdict
from controller.core.sites.links import judged_links
from controller.core.sites.look import STARTUP_MS, Look, ago
from controller.core.sites.signs import is_believed, remembered
from controller.core.sites.steady import CHANGES_AN_HOUR, begun, damped_ms, excused, settled

EVERY_MS = 250
EVERY_MS_AN_AGENT = 2
"""So that a large fleet does not take the time of the rules."""


def is_due(nation: Nation, now_ms: int) -> bool:
    """Whether the last judgement is old enough."""
    every_ms = EVERY_MS + EVERY_MS_AN_AGENT * len(nation.agents)
    return bool(nation.sites) and now_ms - nation.judged_ms >= every_ms


def judged(
    nation: Nation, services: Iterable[ServiceState], now_ms: int
) -> tuple[Nation, list[Note]]:
    """The nation with what is made of it now, and a line of history for each change."""
    expected = {name: _expected(site, now_ms) for name, site in nation.sites.items()}
    look = Look(replace(nation, sites=expected), services, now_ms)
    blind = look.blind
    sites = {name: _judged(look, site, blind) for name, site in expected.items()}
    notes = [_note(nation.sites[name], site) for name, site in sites.items()]
    links, link_notes = judged_links(look)
    told_blind = blind if look.listening_ms >= STARTUP_MS else ""
    after = replace(nation, sites=sites, links=links, blind=told_blind, judged_ms=now_ms)
    told = [note for note in notes if note is not None]
    return after, [*told, *link_notes, *_blindness(nation, after)]


def _expected(site: SiteState, now_ms: int) -> SiteState:
    """The site, with the time from which it is expected to be heard."""
    since_ms = site.expected_since_ms if site.expected_since_ms >= 0 else now_ms
    return replace(site, expected_since_ms=since_ms if site.spec.stage is Stage.ACTIVE else -1)


def _judged(look: Look, site: SiteState, blind: str) -> SiteState:
    now_ms, is_active = look.now_ms, site.spec.stage is Stage.ACTIVE
    seen = seen_at(look, site) if is_active else []
    signs = remembered(site.signs, seen, now_ms)
    told = verdict(look, site, signs, blind)
    steady = _steadied(site.steady or begun(Health.UNKNOWN, site.since_ms), told, now_ms)
    health = Health(steady.believed)
    damped = damped_ms(steady, BEST_FIRST, now_ms)
    counting = tuple(sign.kind for sign in signs if is_believed(sign, now_ms))
    return replace(
        site,
        health=health,
        because=told.because + _still(health, told.health, damped),
        reasons=counting if health is Health.DEGRADED else (),
        since_ms=steady.since_ms,
        signs=signs,
        steady=steady,
        damped=damped > 0,
    )


def _steadied(steady: Steady, told: Verdict, now_ms: int) -> Steady:
    believed = Health(steady.believed)
    if told.says_nothing:
        # A controller that stood still for a moment is blind for that moment, and no site's state
        # ends by it. One that can tell nothing calls nobody down.
        wait_ms = WORSE_AFTER_MS if believed in (Health.HEALTHY, Health.DEGRADED) else 0
        return excused(steady, told.health, wait_ms, now_ms)
    dwell = dwell_ms(believed, told.health)
    return settled(steady, told.health, BEST_FIRST, dwell, now_ms)


def _still(believed: Health, seen: Health, damped: int) -> str:
    """Why another state is shown than the one that is seen."""
    if believed is seen:
        return ""
    if damped:
        return (
            f"; it changed {CHANGES_AN_HOUR} times within the hour, so the worse state stays for "
            f"another {ago(damped)}"
        )
    return f"; it counts as {believed.value} until that has lasted"


def _note(before: SiteState, after: SiteState) -> Note | None:
    """Nothing is told of a site that is found well when the controller begins."""
    if after.health is before.health:
        return None
    is_first = before.steady is not None and not before.steady.changed_ms
    if is_first and (before.health, after.health) == (Health.UNKNOWN, Health.HEALTHY):
        return None
    name, what = after.spec.name, f"{before.health.value} -> {after.health.value}"
    return Note(Happening(About.SITE, name, what, after.because, site=name))


def _blindness(before: Nation, after: Nation) -> list[Note]:
    if bool(before.blind) == bool(after.blind):
        return []
    what = "probably blind" if after.blind else "hears enough again"
    because = (
        after.blind or "it hears somebody at no less than half of the sites that it should hear"
    )
    return [Note(Happening(About.CONTROLLER, after.home, what, because))]
