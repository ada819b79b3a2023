"""What is declared and who is what now: sites, pairs, and the copies of each service."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.text import Text
from rich.tree import Tree

from controller.cli.figures import duration, size
from controller.cli.history_view import phase_style
from controller.cli.site_view import (
    declared_link,
    link_data,
    matrix,
    site_data,
    site_lines,
)
from controller.cli.wire import PairView, SiteView, StateView
from controller.core.explanation.explain import Explanation
from controller.core.site_model import Consequence

INDENT = 8
"""How far to the right the second level of a tree stands."""
MOVES = (Consequence.EVACUATE, Consequence.FAILOVER)


def topology_view(state: StateView, width: int) -> Tree:
    """A tree: the cluster, its sites, its pairs with their services."""
    domain = state.controller.failure_domain
    tree = Tree(Text(f"{state.cluster.name} ({state.cluster.uid}), controller in {domain}"))
    sites = tree.add(Text("sites"))
    for site in state.sites:
        node = sites.add(_site(site))
        for line in (*site_lines(site), *_policy(site)):
            node.add(line)
    if state.paths:
        reach = tree.add(Text("who reaches whom"))
        for part in matrix(state, width - INDENT):
            reach.add(part)
    if state.links:
        links = tree.add(Text("links"))
        for link in state.links:
            links.add(declared_link(link))
    by_name = {service.service: service for service in state.services}
    for pair in state.pairs:
        branch = tree.add(Text(f"pair {' <-> '.join(pair.sites)}"))
        for service in (by_name.pop(name) for name in pair.services if name in by_name):
            _add_service(branch, service)
    if by_name:
        rest = tree.add(Text("services outside of the pairs"))
        for service in by_name.values():
            _add_service(rest, service)
    return tree


def topology_data(state: StateView) -> dict[str, Any]:
    """The same for a program."""
    return {
        "cluster": {"name": state.cluster.name, "uid": state.cluster.uid},
        "controller": {
            "failure_domain": state.controller.failure_domain,
            "blind": state.controller.blind,
        },
        "sites": [_site_data(site) for site in state.sites],
        "links": [link_data(link) for link in state.links],
        "paths": msgspec.to_builtins(state.paths),
        "pairs": [_pair_data(pair) for pair in state.pairs],
        "services": [_service_data(service) for service in state.services],
    }


def _site(site: SiteView) -> Text:
    backs = f", backs up {site.partner}" if site.partner else ", in no pair"
    agents = ", ".join(site.agents) or "none"
    place = f"{site.latitude:g}, {site.longitude:g}"
    return Text(f"{site.id} ({site.name}) {site.state}, at {place}{backs}, agents: {agents}")


def _policy(site: SiteView) -> list[Text]:
    """What its reasons lead to, where that moves anything."""
    moves = []
    for reason, by_tier in site.policy.items():
        tiers = [f"{tier} {led}" for tier, led in by_tier.items() if led in MOVES]
        if tiers:
            moves.append(f"{reason}: {', '.join(tiers)}")
    return [Text(f"policy: {'; '.join(moves)}")] if moves else []


def _add_service(branch: Tree, service: Explanation) -> None:
    text = Text(service.service + "  ", style="bold")
    text.append(service.phase, style=phase_style(service.phase))
    text.append(
        f"  tier {service.tier}, {service.protection}, loss bound "
        f"{size(service.loss_bound_bytes)}, lease {duration(service.lease_ttl_ms)}",
        style="not bold",
    )
    node = branch.add(text)
    for copy in service.copies:
        node.add(Text(f"{_role(service, copy.agent)} {copy.agent} in {copy.site}"))


def _role(service: Explanation, agent: str) -> str:
    if agent == service.primary:
        return "primary"
    return "backup" if agent == service.backup else "further copy"


def _site_data(site: SiteView) -> dict[str, Any]:
    return {
        "id": site.id,
        "name": site.name,
        "state": site.state,
        "latitude": site.latitude,
        "longitude": site.longitude,
        "partner": site.partner,
        "agents": list(site.agents),
        **site_data(site),
        "policy": site.policy,
    }


def _pair_data(pair: PairView) -> dict[str, Any]:
    return {"sites": list(pair.sites), "services": list(pair.services)}


def _service_data(service: Explanation) -> dict[str, Any]:
    return {
        "service": service.service,
        "service_uid": service.service_uid,
        "tier": service.tier,
        "protection": service.protection,
        "loss_bound_bytes": service.loss_bound_bytes,
        "lease_ttl_ms": service.lease_ttl_ms,
        "primary": service.primary,
        "backup": service.backup,
        "copies": [{"agent": copy.agent, "site": copy.site} for copy in service.copies],
    }
