"""Who of those that want to come to a site fits there, worked out from one moment.

What is primary there counts; then come those with leave, then all others by their rank. While one
of a higher tier does not fit nobody of a lower one comes (docs/decisions/0020-sites.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.core.model import Phase, ServiceState
from controller.core.moment.others import Others, held_in_countdown, site_of
from controller.core.moment.view import View
from controller.core.site_model import Load, SiteSpec

TIERS = ("strategis", "tinggi", "rendah")
UNITS = {
    "vcpu": "vcpu",
    "memory_gib": "GiB of memory",
    "storage_tib": "TiB of storage",
    "connections": "connections",
}
DUST = 1e-6
"""Sums of fractions are not exact."""
NOTHING = Load()

Rank = tuple[bool, int, int, str]
"""Given up or not, the tier, the order in the group, the name."""


@dataclass(frozen=True)
class Place:
    """What one service finds when its turn comes."""

    fits: bool
    taken: Load
    """By all that come before it, and what is there."""
    after: str = ""
    """Who of a higher tier does not fit, where that is why."""


@dataclass(frozen=True)
class Placement:
    """One site with a declared capacity, at one moment."""

    site: SiteSpec
    taken: Load
    """By what is primary there."""
    places: dict[str, Place]
    """Of those that want to come, by uid, in the order of their rank."""


def placement_at(others: Others, site: str, asking: ServiceState | None = None) -> Placement | None:
    """Who fits at a site; None where it declares no capacity. One that asks wants to come, too."""
    state = others.nation.sites.get(site)
    if state is None or state.spec.capacity is None:
        return None
    uid = asking.spec.uid if asking else ""
    there = [s for s in others.services.values() if site_of(s, s.record.primary) == site]
    come = [
        service
        for service in others.services.values()
        if site_of(service, service.record.backup) == site
        and (service.spec.uid == uid or wants_to_come(service, others))
    ]
    taken = total(there)
    return Placement(state.spec, taken, places(state.spec, taken, come, others.now_ms))


def wants_to_come(service: ServiceState, others: Others) -> bool:
    """Whether it is on its way, or waits to be, or must be expected."""
    moving = service.record.phase in (Phase.COUNTDOWN, Phase.DRAINING)
    return moving or held_in_countdown(service) or others.falls_silent(service)


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
    others, uid = view.others, view.spec.uid
    site = site_of(view.service, view.record.backup)
    placement = _placement(others, site, None)
    if placement is None:
        return None
    if uid not in placement.places:
        placement = _placement(others, site, view.service)
    return placement.places[uid] if placement else None


def _placement(others: Others, site: str, asking: ServiceState | None) -> Placement | None:
    key = (site, asking.spec.uid if asking else "")
    if key not in others.placements:
        others.placements[key] = placement_at(others, site, asking)
    found: Placement | None = others.placements[key]
    return found


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
    demand = view.spec.demand
    texts = [
        f"of {has:g} {UNITS[key]} at {site} {used:g} are taken, and {view.spec.name} demands "
        f"{more:g}"
        for key, has, used, more in _rows(state.spec, found.taken, demand)
        if key in short_of(state.spec, found.taken, demand)
    ]
    if found.after:
        texts.append(f"{found.after} goes first, and waits for room at {site}")
    return "; ".join(texts) or f"{site} has room for {view.spec.name}"


def places(site: SiteSpec, taken: Load, come: list[ServiceState], now_ms: int) -> dict[str, Place]:
    """What each of those that want to come finds beside what is taken, those with leave first."""
    with_leave = [s for s in come if s.record.approval and View(s, now_ms).may_exceed]
    taken = plus(taken, total(with_leave))
    found = {s.spec.uid: Place(fits=True, taken=taken) for s in with_leave}
    first_left: ServiceState | None = None
    for service in sorted(come, key=lambda s: rank(s, site)):
        demand = service.spec.demand
        if service.spec.uid in found:
            continue
        if demand == NOTHING:
            found[service.spec.uid] = Place(fits=True, taken=taken)
            continue
        behind = first_left is not None and rank(first_left, site)[:2] < rank(service, site)[:2]
        fits = not behind and not short_of(site, taken, demand)
        after = first_left.spec.name if first_left is not None and behind else ""
        found[service.spec.uid] = Place(fits, taken, after)
        if fits:
            taken = plus(taken, demand)
        elif first_left is None:
            first_left = service
    return found
