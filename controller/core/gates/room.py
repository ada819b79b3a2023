"""Who of those that want to come to a site fits there, worked out from one moment.

What is primary there counts; then come those with leave, then all others by their rank. While one
of a higher tier does not fit nobody of a lower one comes. A place is kept for those alone that
could be promoted soon (`coming.py`; docs/decisions/0020-sites.md).
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import NamedTuple

from config.measures import UNITS
from config.tiers import TIERS
from controller.core.gates.coming import wants_to_come
from controller.core.model import ServiceState
from controller.core.moment.others import Others, site_of
from controller.core.moment.view import View
from controller.core.site_model import Load, SiteSpec

DUST = 1e-6
"""Sums of fractions are not exact."""
NOTHING = Load()
NAMED = 3
"""So many of those for whom room is kept are named."""

Rank = tuple[bool, int, int, str]
"""Given up or not, the tier, the order in the group, the name."""


class Before(NamedTuple):
    """What one finds who comes after some others."""

    there: Load
    """By what is primary at the site."""
    taken: Load
    """By what is there, and by those before it that come."""
    kept_for: tuple[str, ...] = ()
    """The first of those that come and demand anything."""
    more: int = 0
    """How many of them are not named."""
    first_left: ServiceState | None = None
    """The first of those before it that finds no room."""


@dataclass(frozen=True)
class Place:
    """What one service finds when its turn comes."""

    fits: bool
    before: Before
    after: str = ""
    """Who of a higher tier does not fit, where that is why."""


@dataclass(frozen=True)
class Placement:
    """One site with a declared capacity, at one moment, and those that want to come there."""

    site: SiteSpec
    places: dict[str, Place]
    """By uid: those with leave, then all others in the order of their rank."""
    ranks: list[Rank]
    """Of those without leave."""
    before: list[Before]
    """What each of them finds, and after them what one finds who comes last."""

    def joined_by(self, service: ServiceState) -> Place:
        """What one finds who wants to come as well. It comes later than this moment, so it takes
        nobody's place."""
        before = self.before[bisect_left(self.ranks, rank(service, self.site))]
        return _found(self.site, before, service)


def placement_at(others: Others, site: str) -> Placement | None:
    """Who fits at a site; None where it declares no capacity."""
    state = others.nation.sites.get(site)
    if state is None or state.spec.capacity is None:
        return None
    services = others.services.values()
    there = [s for s in services if site_of(s, s.record.primary) == site]
    come = [s for s in services if site_of(s, s.record.backup) == site and wants_to_come(s, others)]
    return placed(state.spec, total(there), come, others.now_ms)


def total(services: list[ServiceState]) -> Load:
    """What they demand together, the same in whatever order they are."""
    taken = NOTHING
    for service in sorted(services, key=lambda s: s.spec.uid):
        taken = plus(taken, service.spec.demand)
    return taken


def plus(one: Load, other: Load) -> Load:
    """Both together."""
    return Load(
        one.vcpu + other.vcpu,
        one.memory_gib + other.memory_gib,
        one.storage_tib + other.storage_tib,
        one.connections + other.connections,
    )


def measures(load: Load) -> tuple[float, ...]:
    """In the order of its fields."""
    return load.vcpu, load.memory_gib, load.storage_tib, load.connections


def short_of(site: SiteSpec, taken: Load, demand: Load) -> list[str]:
    """The measures in which the demand finds no room. What is not declared is not limited."""
    rows = _rows(site, taken, demand)
    return [key for key, has, used, more in rows if has and more and used + more > has + DUST]


def _rows(site: SiteSpec, taken: Load, demand: Load) -> list[tuple[str, float, float, float]]:
    """Of each measure its name, what there is, what is taken, and what more is demanded."""
    has = measures(site.capacity or NOTHING)
    return list(zip(UNITS, has, measures(taken), measures(demand), strict=True))


def rank(service: ServiceState, site: SiteSpec) -> Rank:
    """The lower the sooner."""
    spec = service.spec
    tier = TIERS.index(spec.tier) if spec.tier in TIERS else len(TIERS)
    return spec.name in site.gives_up, tier, spec.order, spec.name


def place(view: View) -> Place | None:
    """What the service finds at its backup's site; None where nothing is declared there."""
    others = view.others
    site = site_of(view.service, view.record.backup)
    if site not in others.placements:
        others.placements[site] = placement_at(others, site)
    placement: Placement | None = others.placements[site]
    if placement is None:
        return None
    known = placement.places.get(view.spec.uid)
    return known or placement.joined_by(view.service)


def fits(view: View) -> bool:
    """Whether there is room for it, or an operator lets it come all the same."""
    found = place(view)
    return found is None or found.fits or view.may_exceed


def said(view: View) -> str:
    """How much room there is for it, in words."""
    site, found = site_of(view.service, view.record.backup), place(view)
    state = view.others.nation.sites.get(site)
    if found is None or state is None or state.spec.capacity is None:
        return f"no capacity is declared for {site or 'no site'}"
    demand, before = view.spec.demand, found.before
    there, short = measures(before.there), short_of(state.spec, before.taken, demand)
    rows = zip(there, _rows(state.spec, before.taken, demand), strict=True)
    texts = [
        f"of {has:g} {UNITS[key]} at {site} {_told(stand, used, before)}, and {view.spec.name} "
        f"demands {more:g}"
        for stand, (key, has, used, more) in rows
        if key in short
    ]
    if found.after:
        texts.append(f"{found.after} goes first, and waits for room at {site}")
    return "; ".join(texts) or f"{site} has room for {view.spec.name}"


def _told(there: float, used: float, before: Before) -> str:
    """What stands at the site, and what is kept there for whom."""
    kept = used - there
    if kept <= DUST:
        return f"{there:g} are taken"
    names = [*before.kept_for, *([f"{before.more} more"] if before.more else [])]
    *first, last = names
    for_whom = f"{', '.join(first)} and {last}" if first else last
    return f"{there:g} are taken and {kept:g} kept for {for_whom}"


def placed(site: SiteSpec, there: Load, come: list[ServiceState], now_ms: int) -> Placement:
    """What each of those that want to come finds beside what is there, those with leave first."""
    with_leave = [one for one in come if _has_leave(one, now_ms)]
    let_in = Before(there, there)
    for service in sorted(with_leave, key=lambda s: s.spec.uid):
        let_in = _joined(let_in, service)
    places = {one.spec.uid: Place(fits=True, before=let_in) for one in with_leave}
    rest = sorted((s for s in come if s.spec.uid not in places), key=lambda s: rank(s, site))
    before = [let_in]
    for service in rest:
        found = _found(site, before[-1], service)
        places[service.spec.uid] = found
        before.append(_after(before[-1], service, found))
    return Placement(site, places, [rank(s, site) for s in rest], before)


def _has_leave(service: ServiceState, now_ms: int) -> bool:
    return service.record.approval is not None and View(service, now_ms).may_exceed


def _found(site: SiteSpec, before: Before, service: ServiceState) -> Place:
    """What one without leave finds. While one of a higher tier waits for room it takes none."""
    demand, left = service.spec.demand, before.first_left
    if demand == NOTHING:
        return Place(fits=True, before=before)
    if left is not None and rank(left, site)[:2] < rank(service, site)[:2]:
        return Place(fits=False, before=before, after=left.spec.name)
    return Place(fits=not short_of(site, before.taken, demand), before=before)


def _after(before: Before, service: ServiceState, found: Place) -> Before:
    if found.fits:
        return _joined(before, service)
    return before if before.first_left is not None else before._replace(first_left=service)


def _joined(before: Before, service: ServiceState) -> Before:
    """With one more that comes."""
    demand, named = service.spec.demand, len(before.kept_for) < NAMED
    if demand == NOTHING:
        return before
    names = (*before.kept_for, service.spec.name) if named else before.kept_for
    more = before.more if named else before.more + 1
    return Before(before.there, plus(before.taken, demand), names, more, before.first_left)
