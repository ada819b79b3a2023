"""Two topologies compared: a sentence for each difference, with what comes of it.

What cannot change while the controller leads is told apart: `taken` is the new topology with
those parts as they are in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any

from msgspec import Struct
from pydantic import BaseModel

from config.problems import shown
from config.topology import Agent, Link, Replica, Service, ServiceStage, Site, SiteState, Topology

HOT_OF_THE_CONTROLLER = ("report_interval_ms", "failure_domain")
NEEDS_RESTART = ("store", "journal", "brokers", "hazards")


class Kind(StrEnum):
    """What a difference is about."""

    SERVICE = "service"
    SITE = "site"
    AGENT = "agent"
    LINK = "link"
    CLUSTER = "cluster"


class Difference(Struct, frozen=True):
    """One thing that a reload changes, in a sentence."""

    kind: Kind
    name: str
    text: str


AT_ONCE = "in force at once"
ONLY_SAID = "named at once where the link is cut, and changes nothing else"
EFFECTS = {
    "tier": "who must accept a loss, and who goes first, follows it at once",
    "protection": "the service stands alone until the pair is armed with it",
    "backup_loss": "in force as soon as the pair is armed, or at once where it is",
    "loss_bound_bytes": "counts at once, also in a countdown that is under way",
    "peak_rate_bytes_s": "only the check of this file uses it",
    "system_identifier": "it must be that of the copies",
    "databases": "only shown",
}
"""What comes of another value of a service's key."""

SITE_EFFECTS = {
    SiteState.PLANNED: "nothing is expected from there, and no copy there counts",
    SiteState.ACTIVE: "its agents are expected, and its copies may take over",
    SiteState.SUSPENDED: "nobody is moved there; what is primary there is to be moved away",
    SiteState.RETIRED: "no replica stands there",
}


def differences(old: Topology, new: Topology) -> tuple[Difference, ...]:
    """All that changes, as it would be done: services, sites, links, agents, and the rest."""
    return (
        *_services(old, new),
        *_sites(old, new),
        *_links(old, new),
        *_agents(old, new),
        *_rest(old, new),
    )


def taken(old: Topology, new: Topology) -> Topology:
    """What of the new one can be taken while the controller leads."""
    hot = {name: getattr(new.controller, name) for name in HOT_OF_THE_CONTROLLER}
    kept: dict[str, Any] = {name: getattr(old, name) for name in NEEDS_RESTART}
    kept["controller"] = old.controller.model_copy(update=hot)
    return new.model_copy(update=kept)


def waiting(old: Topology, new: Topology) -> tuple[str, ...]:
    """The keys whose new value is taken by a restart of the controller only."""
    cold = (name for name in type(old.controller).model_fields if name not in HOT_OF_THE_CONTROLLER)
    keys = [f"controller.{_key(old.controller, n)}" for n in cold if _differ(old, new, n)]
    return (*keys, *(n for n in NEEDS_RESTART if getattr(old, n) != getattr(new, n)))


def _differ(old: Topology, new: Topology, name: str) -> bool:
    return bool(getattr(old.controller, name) != getattr(new.controller, name))


def _services(old: Topology, new: Topology) -> Iterator[Difference]:
    before = {service.uid: service for service in old.services}
    after = {service.uid: service for service in new.services}
    for uid, service in after.items():
        texts = _service(old, before[uid], new, service) if uid in before else (_new(service),)
        yield from (Difference(Kind.SERVICE, service.name, text) for text in texts)
    for uid, service in before.items():
        if uid not in after:
            text = "is taken out: the controller gives it neither Orders nor leases any more"
            yield Difference(Kind.SERVICE, service.name, text)


def _new(service: Service) -> str:
    if service.state is ServiceStage.RETIRED:
        return "is new, and retired: nothing is done"
    first, *others = service.by_priority
    backup = f" until {others[0].agent} follows" if others else ", for it has no backup"
    return (
        f"is new: {first.agent} becomes its primary in epoch 1, or the one that its record in the "
        f"store names, and stands alone{backup}"
    )


def _service(old: Topology, before: Service, new: Topology, after: Service) -> Iterator[str]:
    if before.state is not after.state:
        yield (
            "is retired: the controller gives it neither Orders nor leases any more; stop its "
            "engines"
            if after.state is ServiceStage.RETIRED
            else "is looked after again, as its record in the store says"
        )
    if (was := old.lease_terms(before)) != (now := new.lease_terms(after)):
        yield (
            f"lease: from ttl {was.ttl_ms} ms, renew {was.renew_ms} ms to ttl {now.ttl_ms} ms, "
            f"renew {now.renew_ms} ms; leases that were given last as long as they were given, "
            "and the new times come with the next revision in PROTECTED or ALONE"
        )
    yield from _replicas(before.by_priority, after.by_priority)
    told_else = ("state", "lease", "lease_profile", "replicas")
    for name, text in _changed(before, after, told_else):
        yield f"{text}; {EFFECTS.get(name, AT_ONCE)}"


def _replicas(before: Iterable[Replica], after: Iterable[Replica]) -> Iterator[str]:
    was = {replica.agent: replica for replica in before}
    now = {replica.agent: replica for replica in after}
    for agent, replica in now.items():
        if agent not in was:
            yield f"a copy on {agent} in {replica.site}: it may back up once it follows"
        elif was[agent] != replica:
            for _name, text in _changed(was[agent], replica, ()):
                yield f"copy on {agent}: {text}; told to the agents at once"
    for agent in was:
        if agent not in now:
            yield f"no copy on {agent} any more: the agent there gets no Orders for it; stop it"


def _sites(old: Topology, new: Topology) -> Iterator[Difference]:
    before = {site.id: site for site in old.sites}
    for site in new.sites:
        known = before.pop(site.id, None)
        if known is None:
            text = f"is new, {site.state.value}: {SITE_EFFECTS[site.state]}"
            yield Difference(Kind.SITE, site.id, text)
            continue
        yield from (Difference(Kind.SITE, site.id, text) for text in _site(known, site))
    for name in before:
        yield Difference(Kind.SITE, name, "is taken out")
    pairs = [{tuple(sorted(pair.sites)) for pair in one.pairs} for one in (old, new)]
    for sites in sorted(pairs[1] - pairs[0]):
        yield Difference(Kind.SITE, sites[0], f"and {sites[1]} become a pair")
    for sites in sorted(pairs[0] - pairs[1]):
        yield Difference(Kind.SITE, sites[0], f"and {sites[1]} are no pair any more")


def _site(before: Site, after: Site) -> Iterator[str]:
    if before.state is not after.state:
        yield (f"from {before.state.value} to {after.state.value}: {SITE_EFFECTS[after.state]}")
    for _name, text in _changed(before, after, ("state",)):
        yield f"{text}; {AT_ONCE}"


def _links(old: Topology, new: Topology) -> Iterator[Difference]:
    before = {_link_name(link): link for link in old.links}
    for link in new.links:
        name, known = _link_name(link), before.pop(_link_name(link), None)
        if known is None:
            text = f"is new over {', '.join(link.shared_risk_links)}; {ONLY_SAID}"
            yield Difference(Kind.LINK, name, text)
        elif known.shared_risk_links != link.shared_risk_links:
            was, now = ", ".join(known.shared_risk_links), ", ".join(link.shared_risk_links)
            text = f"shared_risk_links: from {was} to {now}; {ONLY_SAID}"
            yield Difference(Kind.LINK, name, text)
    for name in before:
        yield Difference(Kind.LINK, name, f"is taken out; {ONLY_SAID}")


def _link_name(link: Link) -> str:
    one, other = sorted(link.between)
    return f"{one} <-> {other} {link.name}".rstrip()


def _agents(old: Topology, new: Topology) -> Iterator[Difference]:
    before = {agent.id: agent for agent in old.agents}
    for agent in new.agents:
        known = before.pop(agent.id, None)
        if known is None:
            text = f"is new in {agent.site}: it is heard from now on"
            yield Difference(Kind.AGENT, agent.id, text)
            continue
        yield from (Difference(Kind.AGENT, agent.id, text) for text in _agent(known, agent))
    for name in before:
        yield Difference(Kind.AGENT, name, "is taken out: what it says is put aside")


def _agent(before: Agent, after: Agent) -> Iterator[str]:
    for _name, text in _changed(before, after, ()):
        yield f"{text}; told to its partners at once"


def _rest(old: Topology, new: Topology) -> Iterator[Difference]:
    told = {"services", "sites", "pairs", "links", "agents", "lease_profiles", "controller"}
    for _name, text in _changed(old, new, (*told, *NEEDS_RESTART)):
        yield Difference(Kind.CLUSTER, "", f"{text}; {AT_ONCE}")
    for name, text in _changed(old.controller, new.controller, ()):
        if name in HOT_OF_THE_CONTROLLER:
            yield Difference(Kind.CLUSTER, "", f"controller.{text}; {AT_ONCE}")


def _changed(
    before: BaseModel, after: BaseModel, told_else: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """Each field with another value, as the file names it: `tier: from "rendah" to "tinggi"`."""
    skipped = tuple(told_else)
    for name in type(after).model_fields:
        was, now = getattr(before, name), getattr(after, name)
        if name not in skipped and was != now:
            key = _key(after, name)
            yield name, f"{key}: from {_shown(key, was)} to {_shown(key, now)}"


def _key(model: BaseModel, name: str) -> str:
    """As the file writes it: without the unit."""
    return type(model).model_fields[name].alias or name


def _shown(key: str, value: Any) -> str:
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", by_alias=True, exclude_none=True)
        return ", ".join(f"{k} {v}" for k, v in value.items())
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple) and all(isinstance(part, str) for part in value):
        return ", ".join(value) or "none"
    return "none" if value is None else shown((key,), value)
