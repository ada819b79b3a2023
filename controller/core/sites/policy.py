"""What the reasons of a degraded site lead to, by site and tier.

Data and judgement only. Who moves anything because of it asks for what an operator may ask
(docs/decisions/0020-sites.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from config.tiers import TIERS
from controller.core.model import ServiceState
from controller.core.moment.view import View
from controller.core.site_model import Consequence, Health, Nation, Sign, SiteSpec, SiteState, Stage
from controller.core.sites import cautions
from protocol.windows import silence_ms

OTHER = "other"
"""Stands in a policy for every reason that it does not name."""

DEFAULTS: dict[str, Consequence] = {
    "agents": Consequence.ALARM,
    "certificate": Consequence.ALARM,
    "checks": Consequence.ALARM,
    "clock": Consequence.ALARM,
    "cut-off": Consequence.READINESS,
    "disk": Consequence.READINESS,
    "down": Consequence.READINESS,
    "latency": Consequence.READINESS,
    "packet-loss": Consequence.READINESS,
    "paths": Consequence.READINESS,
    "replication": Consequence.ALARM,
    OTHER: Consequence.READINESS,
}
"""Nothing is moved by itself unless the configuration says so."""

STRENGTH = tuple(Consequence)
HEALTH_REASONS = {Health.CUT_OFF: "cut-off", Health.DOWN: "down"}


class Wish(Struct, frozen=True):
    """What a site's reasons lead to for one service whose primary stands there."""

    site: str
    service: str
    service_uid: str
    consequence: Consequence
    reasons: tuple[str, ...]
    """Those that lead to it."""
    because: str
    """The operator's sentence."""


def policy_of(
    *declared: Mapping[str, Consequence | Mapping[str, Consequence]],
) -> dict[str, dict[str, Consequence]]:
    """The defaults, changed by what is declared, the most particular last."""
    merged = {reason: dict.fromkeys(TIERS, led) for reason, led in DEFAULTS.items()}
    for one in declared:
        for reason, led in one.items():
            by_tier = dict.fromkeys(TIERS, led) if isinstance(led, Consequence) else led
            before = merged.get(reason, merged[OTHER])
            merged[reason] = {**before, **by_tier}
    return merged


def leads_to(site: SiteSpec, reason: str, tier: str) -> Consequence:
    """What a reason leads to for a service of this tier."""
    by_tier = site.policy.get(reason) or site.policy.get(OTHER) or {}
    default = DEFAULTS.get(reason, DEFAULTS[OTHER])
    return by_tier.get(tier, default)


def wished(nation: Nation, services: Iterable[ServiceState], now_ms: int) -> tuple[Wish, ...]:
    """For each service whose primary stands in an active site that is not well: the strongest of
    what its reasons lead to. Services of which nothing is wished are left out. A controller that
    is probably blind wishes nothing.
    """
    found: list[Wish] = []
    if nation.blind:
        return ()
    for service in services:
        site = _site_of_primary(nation, service)
        if site is None:
            continue
        wish = _wish(nation, site, service, now_ms)
        if wish is not None:
            found.append(wish)
    return tuple(found)


def readiness(nation: Nation, services: Iterable[ServiceState], now_ms: int) -> dict[str, str]:
    """By site that is asked to be ready: for whose sake, and why."""
    raised: dict[str, str] = {}
    for wish in wished(nation, services, now_ms):
        partner = nation.sites[wish.site].spec.partner
        if partner and stronger(wish.consequence, Consequence.ALARM):
            raised.setdefault(partner, f"{wish.site} may need it: {', '.join(wish.reasons)}")
    for name, state in nation.sites.items():
        care = cautions.at(nation, name)
        if care and state.spec.partner:
            why = f"{name} is under caution: {care[0].text} ({care[0].source})"
            raised.setdefault(state.spec.partner, why)
    return raised


def care(nation: Nation, service: ServiceState, now_ms: int) -> tuple[str, ...]:
    """In sentences: why the people of a service should stand ready. Also for what the policy of
    its primary's site makes of the reasons there."""
    told = [cautions.sentence(caution, now_ms) for caution in cautions.around(nation, service)]
    wishes = wished(nation, (service,), now_ms)
    ready = [w.because for w in wishes if stronger(w.consequence, Consequence.ALARM)]
    return (*told, *ready)


def failback_held(nation: Nation, site: str) -> str:
    """Why nothing may be moved back to a site by itself; empty when nothing is against it."""
    return caution_on(nation, site) or not_well(nation, site)


def not_well(nation: Nation, site: str) -> str:
    """What is the matter with a site; empty when nothing is, or it is not declared."""
    state = nation.sites.get(site)
    if state is None or state.health is Health.HEALTHY:
        return ""
    return f"{site} is {state.health.value}: {state.because}"


def caution_on(nation: Nation, site: str) -> str:
    """Which care is taken at a site; empty when none is."""
    care = cautions.at(nation, site)
    return f"caution is on at {site}: {care[0].text} ({care[0].source})" if care else ""


def stronger(one: Consequence, other: Consequence) -> bool:
    """Whether the first is stronger than the second."""
    return STRENGTH.index(one) > STRENGTH.index(other)


def _site_of_primary(nation: Nation, service: ServiceState) -> SiteState | None:
    replica = service.spec.replica(service.record.primary)
    site = nation.sites.get(replica.site) if replica else None
    return site if site is not None and site.spec.stage is Stage.ACTIVE else None


def _wish(nation: Nation, site: SiteState, service: ServiceState, now_ms: int) -> Wish | None:
    signs = _signs_for(site, service.record.primary)
    led = [(leads_to(site.spec, sign.kind, service.spec.tier), sign) for sign in signs]
    worst = max((one for one, _ in led), key=STRENGTH.index, default=Consequence.NOTHING)
    if worst is Consequence.NOTHING:
        return None
    behind = [sign for one, sign in led if one is worst]
    consequence, limit = _as_far_as_it_goes(nation, site, service, worst, now_ms)
    told = "; ".join(f"{sign.kind}: {sign.text}" for sign in behind)
    return Wish(
        site=site.spec.name,
        service=service.spec.name,
        service_uid=service.spec.uid,
        consequence=consequence,
        reasons=tuple(sign.kind for sign in behind),
        because=f"{site.spec.name} is {site.health.value} ({told}){limit}",
    )


def _signs_for(site: SiteState, primary: str) -> list[Sign]:
    """What concerns a service with this primary: of the site, and of its own host."""
    if site.health in HEALTH_REASONS:
        return [Sign(HEALTH_REASONS[site.health], site.because)]
    if site.health is not Health.DEGRADED:
        return []
    # As it was judged: else a reason would end before the site looks better.
    counting = (sign for sign in site.signs if sign.kind in site.reasons)
    return [sign for sign in counting if primary in (sign.agents or (primary,))]


def _as_far_as_it_goes(
    nation: Nation, site: SiteState, service: ServiceState, wish: Consequence, now_ms: int
) -> tuple[Consequence, str]:
    """Weaker than what the policy says where that would do no good, and why."""
    if not stronger(wish, Consequence.READINESS):
        return wish, ""
    if wish is Consequence.FAILOVER and commits(service, now_ms):
        return Consequence.READINESS, "; its writes still commit, so it is not failed over"
    partner = nation.sites.get(site.spec.partner)
    if partner is None:
        return Consequence.ALARM, "; no site is its partner, so nothing can be moved"
    against = _against(partner, service)
    if against:
        return Consequence.READINESS, f"; its partner {partner.spec.name} {against}"
    return wish, ""


def _against(partner: SiteState, service: ServiceState) -> str:
    """What is to be said against a move there: it is not reached, or would be left as well. That
    something smaller is the matter there is no reason to stay where it is worse."""
    if partner.health not in (Health.HEALTHY, Health.DEGRADED):
        return f"is {partner.health.value}, so nothing is moved there"
    for sign in _signs_for(partner, service.record.backup):
        led = leads_to(partner.spec, sign.kind, service.spec.tier)
        if stronger(led, Consequence.READINESS):
            return f"would be left as well ({sign.kind}), so nothing is moved there"
    return ""


def commits(service: ServiceState, now_ms: int) -> bool:
    """Whether the primary proved a commit of late, here or to its backup. Who needs no lease
    proves none: as reported."""
    view = View(service, now_ms)
    if view.backup is not None and view.backup.primary_heard:
        return True
    if service.proven_once and view.silence_ms < silence_ms(service.record.terms):
        return True
    primary = view.primary
    return primary is not None and primary.writable and not primary.illness
