"""How the sites, the links and the ways between them are, as the API shows it."""

from __future__ import annotations

from typing import Any

import msgspec

from controller.core.site_model import LinkState, SiteState
from controller.core.sites.look import Look
from controller.core.sites.matrix import matrix
from controller.core.sites.policy import Wish, readiness, wished
from controller.core.sites.signs import is_believed
from controller.status import Status
from controller.web.cautions import caution_views


def site_views(status: Status) -> list[dict[str, Any]]:
    """Each declared site, and how it is."""
    nation, services, now_ms = status.state.nation, status.services, status.now_ms
    asked, wishes = readiness(nation, services, now_ms), wished(nation, services, now_ms)
    return [
        {
            "id": site.id,
            "name": site.name,
            "state": site.state.value,
            "latitude": site.location.latitude,
            "longitude": site.location.longitude,
            "partner": status.topology.partner_site(site.id),
            "agents": [agent.id for agent in status.agents_of(site.id)],
            "up": status.site_up(site.id),
            "cautions": caution_views(status, site.id),
            **_health(status, site.id),
            "ready_for": asked.get(site.id, ""),
            "wished": [_wish(wish) for wish in wishes if wish.site == site.id],
        }
        for site in status.topology.sites
    ]


def link_views(status: Status) -> list[dict[str, Any]]:
    """Each link between two active sites."""
    return [_link(status, link) for link in status.state.nation.links]


def path_views(status: Status) -> list[dict[str, Any]]:
    """The path matrix."""
    look = Look(status.state.nation, (), status.now_ms)
    found: list[dict[str, Any]] = msgspec.to_builtins(matrix(look))
    return found


def _health(status: Status, name: str) -> dict[str, Any]:
    site = status.state.nation.sites.get(name)
    if site is None:
        return {}
    return {
        "health": site.health.value,
        "because": site.because,
        "since_ago_ms": status.now_ms - site.since_ms,
        "reasons": list(site.reasons),
        "signs": _signs(status, site),
        "damped": site.damped,
        "shared_risk_links": list(site.spec.shared_risk_links),
        "policy": site.spec.policy,
    }


def _signs(status: Status, site: SiteState) -> list[dict[str, Any]]:
    return [
        {
            "kind": sign.kind,
            "text": sign.text,
            "agents": list(sign.agents),
            "for_ms": sign.last_ms - sign.first_ms,
            "last_seen_ago_ms": status.now_ms - sign.last_ms,
            "counts": is_believed(sign, status.now_ms),
        }
        for sign in site.signs
    ]


def _wish(wish: Wish) -> dict[str, Any]:
    """What its reasons lead to, for one service."""
    return {
        "service": wish.service,
        "consequence": wish.consequence.value,
        "reasons": list(wish.reasons),
        "because": wish.because,
    }


def _link(status: Status, link: LinkState) -> dict[str, Any]:
    return {
        "sites": list(link.sites),
        "health": link.health.value,
        "because": link.because,
        "since_ago_ms": status.now_ms - link.since_ms,
        "shared_risk": list(link.shared_risk),
        "declared": [
            {"name": one.name, "shared_risk": list(one.shared_risk)} for one in link.declared
        ],
        "common_cause": list(link.common_cause),
        "at_risk": list(link.at_risk),
    }
