"""What one entry of a topology cannot know of another: names, pairs, places, priorities.

`check_entries` works on the rough sketch, so that it speaks even where single entries are
malformed. `weaknesses` works on the valid topology and only warns.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches

from config.leases import PROFILES
from config.problems import Loc, Severity
from config.reader import Document
from config.sketch import AgentSketch, ReplicaSketch, ServiceSketch, Sketch, entries, text
from config.tiers import Tier
from config.topology import OperatorRole, Service, SiteState, Topology
from protocol.messages import CONTROLLER

Found = tuple[Loc, str | None]
"""A value and where it stands."""


def check_entries(document: Document, sketch: Sketch) -> None:
    """Notes in the document every error between entries."""
    check_uniqueness(document, sketch)
    check_token_files(document)
    check_profiles(document, sketch)
    check_pairs(document, sketch)
    for agent in sketch.agents:
        check_site(document, sketch, (*agent.loc, "site"), agent.site)
    for service in sketch.services:
        check_service(document, sketch, service)
    for index, drill in entries(document.data, "drills"):
        check_site(document, sketch, ("drills", index, "site"), text(drill, "site"))


def check_uniqueness(document: Document, sketch: Sketch) -> None:
    """Identities are the cluster's: nothing may carry another's."""
    services, agents = sketch.services, sketch.agents
    unique(document, "site id", [((*s.loc, "id"), s.id) for s in sketch.sites])
    unique(document, "agent id", [((*a.loc, "id"), a.id) for a in agents])
    unique(document, "agent address", [((*a.loc, "address"), a.address) for a in agents])
    keys: list[Found] = [(("controller", "public_key"), sketch.controller_key)]
    unique(document, "public key", keys + [((*a.loc, "public_key"), a.public_key) for a in agents])
    unique(document, "service name", [((*s.loc, "name"), s.name) for s in services])
    declared = [s for s in services if s.uid != s.name]
    implied = [s for s in services if s.uid == s.name and s not in duplicates(services)]
    unique(document, "service uid", [((*s.loc, "uid"), s.uid) for s in implied + declared])
    identifiers: list[Found] = [
        ((*s.loc, "system_identifier"), s.system_identifier) for s in services
    ]
    unique(document, "system identifier", identifiers)
    engines: dict[tuple[str, str], Loc] = {}
    for replica in (replica for service in services for replica in service.replicas):
        agent = agent_id(sketch, replica)
        if agent is None or replica.address is None:
            continue
        first = engines.setdefault((agent, replica.address), replica.loc)
        if first is not replica.loc:
            document.add(
                (*replica.loc, "address"),
                replica.address,
                f"the agent {agent} has another engine at this address, "
                f"in line {document.line(first)}",
                "give each engine a port of its own",
            )
    for agent_sketch in agents:
        if agent_sketch.id == CONTROLLER:
            document.add(
                (*agent_sketch.loc, "id"),
                CONTROLLER,
                "this is the controller's own name",
                "give the agent another id",
            )


def check_token_files(document: Document) -> None:
    """Two people with one token file have one token: nobody could tell them apart."""
    base = document.file.absolute().parent
    found: list[Found] = []
    for index, operator in entries(document.data.get("controller"), "operators"):
        file = text(operator, "token_file")
        path = None if file is None else os.path.normpath(base / file)
        found.append((("controller", "operators", index, "token_file"), path))
    unique(document, "token file", found, "give each operator a token of his own")


def duplicates(services: tuple[ServiceSketch, ...]) -> list[ServiceSketch]:
    """The services that repeat an earlier one's name."""
    seen: set[str] = set()
    found = []
    for service in services:
        if service.name is not None and service.name in seen:
            found.append(service)
        seen.add(service.name or "")
    return found


def unique(document: Document, what: str, found: Iterable[Found], mend: str = "") -> None:
    """Notes each value that stands there a second time."""
    first: dict[str, Loc] = {}
    for loc, value in found:
        if value is None:
            continue
        if value in first:
            line = document.line(first[value])
            document.add(
                loc,
                value,
                f"a duplicate {what}, first in line {line}",
                mend or f"give each its own {what}",
            )
        else:
            first[value] = loc


def check_profiles(document: Document, sketch: Sketch) -> None:
    """The built-in profiles keep their meaning everywhere; others must be declared."""
    for name in sketch.lease_profiles:
        if name in PROFILES:
            document.add(
                ("lease_profiles", name),
                "",
                f"{name} is a built-in profile",
                "give your own profile another name",
            )
    known = [*PROFILES, *sketch.lease_profiles]
    for service in sketch.services:
        profile = service.lease_profile
        if profile is not None and profile not in known:
            loc = (*service.loc, "lease_profile")
            document.add(loc, profile, "there is no such lease profile", one_of(profile, known))


def one_of(value: str, known: Iterable[str]) -> str:
    """A mend that names the nearest known name, or all when they are few."""
    names = sorted(set(known))
    near = get_close_matches(value, names, n=1)
    if near:
        return f"did you mean {near[0]}?"
    if not names:
        return "declare it first"
    return "use one of " + ", ".join(names[:10]) + (" ..." if len(names) > 10 else "")


def check_site(document: Document, sketch: Sketch, loc: Loc, site: str | None) -> bool:
    """Notes an unknown site; says whether it is known."""
    known = [entry.id for entry in sketch.sites if entry.id is not None]
    if site is None:
        return False
    if site not in known:
        document.add(loc, site, "there is no such site", one_of(site, known))
        return False
    return True


def check_pairs(document: Document, sketch: Sketch) -> None:
    """A pair is two known sites, and a site is in one pair."""
    taken: dict[str, Loc] = {}
    for pair in sketch.pairs:
        if len(pair.sites) == 2 and pair.sites[0] is not None and len(set(pair.sites)) == 1:
            document.add(
                (*pair.loc, "sites"),
                pair.sites[0],
                f"the site {pair.sites[0]} is paired with itself",
                "name two different sites",
            )
            taken.setdefault(pair.sites[0], pair.loc)
            continue
        for index, site in enumerate(pair.sites):
            loc = (*pair.loc, "sites", index)
            if not check_site(document, sketch, loc, site) or site is None:
                continue
            if site in taken:
                line = document.line(taken[site])
                document.add(
                    loc,
                    site,
                    f"the site is in two pairs, first in line {line}",
                    "keep each site in one pair",
                )
            else:
                taken[site] = pair.loc


def agents_of(sketch: Sketch, site: str | None) -> list[AgentSketch]:
    """The agents that stand in a site."""
    return [agent for agent in sketch.agents if agent.site == site and agent.id is not None]


def agent_id(sketch: Sketch, replica: ReplicaSketch) -> str | None:
    """The agent of a replica, named or implied by its site."""
    if replica.agent is not None:
        return replica.agent
    there = agents_of(sketch, replica.site)
    return there[0].id if len(there) == 1 else None


def check_service(document: Document, sketch: Sketch, service: ServiceSketch) -> None:
    """Every replica in a place that exists, all of them in one pair, no two alike."""
    known = [check_replica(document, sketch, replica) for replica in service.replicas]
    places: list[Found] = []
    ranks: list[Found] = []
    for replica in service.replicas:
        places.append(((*replica.loc, "agent"), agent_id(sketch, replica)))
        rank = None if replica.priority is None else str(replica.priority)
        ranks.append(((*replica.loc, "priority"), rank))
    unique(document, "agent in this service", places, "the backup needs another agent to fall to")
    unique(document, "priority in this service", ranks)
    if len(service.replicas) < 2 or not all(known):
        return
    sites = {replica.site for replica in service.replicas}
    if len(sites) == 1:
        document.add(
            (*service.loc, "replicas"),
            next(iter(sites)),
            "all replicas stand in one site",
            "put the backup into the pair's other site",
        )
    elif not any(set(pair.sites) == sites for pair in sketch.pairs):
        document.add(
            (*service.loc, "replicas"),
            ", ".join(sorted(site for site in sites if site is not None)),
            "these sites are not a pair",
            "put the replicas into the two sites of one pair",
        )


def check_stage(document: Document, sketch: Sketch, replica: ReplicaSketch) -> None:
    """A site that was given up holds no copy."""
    state = next((site.state for site in sketch.sites if site.id == replica.site), None)
    if state == SiteState.RETIRED:
        document.add(
            (*replica.loc, "site"),
            replica.site,
            "the site is retired: no replica may stand there",
            "move what is primary there and take its replicas out while it is suspended; then "
            "retire it",
        )


def check_replica(document: Document, sketch: Sketch, replica: ReplicaSketch) -> bool:
    """Notes an unknown site or agent; says whether the site is known."""
    known = check_site(document, sketch, (*replica.loc, "site"), replica.site)
    check_stage(document, sketch, replica)
    there = agents_of(sketch, replica.site)
    ids = [agent.id for agent in sketch.agents if agent.id is not None]
    loc = (*replica.loc, "agent")
    if replica.agent is None:
        if known and len(there) != 1:
            count = "no agent" if not there else f"{len(there)} agents"
            document.add(
                loc,
                "",
                f"left out, but the site {replica.site} has {count}",
                "declare an agent there" if not there else "name the agent",
            )
    elif replica.agent not in ids:
        document.add(loc, replica.agent, "there is no such agent", one_of(replica.agent, ids))
    elif known and replica.agent not in [agent.id for agent in there]:
        home = next(agent.site for agent in sketch.agents if agent.id == replica.agent)
        document.add(
            loc,
            replica.agent,
            f"this agent stands in {home}, not in {replica.site}",
            f"name an agent of {replica.site}, or correct the site",
        )
    return known


def weaknesses(document: Document, topology: Topology) -> None:
    """Notes as warnings what is allowed and weakens the protection."""
    warn_of_people(document, topology)
    for index, service in enumerate(topology.services):
        loc: Loc = ("services", index)
        warn_of_places(document, topology, service, loc)
        warn_of_loss_bound(document, topology, service, loc)
    for index, broker in enumerate(topology.broker_list):
        if not broker.is_tls and topology.embedded_broker is None:
            host = broker.address
            if not host.startswith(("127.", "localhost:", "[::1]")):
                document.add(
                    ("brokers", index, "url"),
                    broker.url,
                    "reports and passwords cross the network unencrypted",
                    "use mqtts://",
                    Severity.WARNING,
                )


def warn_of_places(document: Document, topology: Topology, service: Service, loc: Loc) -> None:
    """Sites that are not in use, and a backup that falls together with the controller."""
    primary = service.by_priority[0]
    if len(service.replicas) == 1:
        document.add(
            (*loc, "replicas"),
            "",
            "there is no backup: nothing can take this service over",
            "declare a replica in the pair's other site",
            Severity.WARNING,
        )
    stages = [topology.site(replica.site).state for replica in service.replicas]
    if all(stage is SiteState.PLANNED for stage in stages):
        document.add(
            (*loc, "replicas"),
            "",
            "all its sites are planned: the service is not begun",
            "call one of them active once its agents are there",
            Severity.WARNING,
        )
    for index, replica in enumerate(service.replicas):
        place = (*loc, "replicas", index, "site")
        state = topology.site(replica.site).state
        if state is not SiteState.ACTIVE:
            document.add(
                place,
                replica.site,
                f"the site is {state}, not active",
                "activate the site, or move the replica",
                Severity.WARNING,
            )
        if len(service.replicas) > 1 and replica.site == topology.controller.failure_domain:
            consequence = (
                "the primary's site: losing that site leaves nobody to order the failover"
                if replica is primary
                else "the backup's site: losing that site takes both grantors and would fence "
                "this primary"
            )
            document.add(
                place,
                replica.site,
                f"the controller stands in {consequence}",
                "put the controller into a failure domain of its own",
                Severity.WARNING,
            )


def warn_of_people(document: Document, topology: Topology) -> None:
    """What takes two people must be able to tell them apart."""
    strategic = [s.name for s in topology.services if s.tier is Tier.STRATEGIS]
    may = [o for o in topology.controller.operators if o.role is OperatorRole.OPERATOR]
    declared = topology.controller.operators
    if len(may) >= 2 or not (strategic or declared):
        return
    what = "a failover by force"
    if strategic:
        what += f", and losing data of {', '.join(strategic)} (tier strategis),"
    document.add(
        ("controller", "operators"),
        f"{len(may)} with the role operator",
        f"{what} takes two different people, and "
        + (f"there is {len(may)}" if declared else "who is who is only what each says of himself"),
        "declare two operators or more, each with a token_file of his own",
        Severity.WARNING,
    )


def warn_of_loss_bound(document: Document, topology: Topology, service: Service, loc: Loc) -> None:
    """A bound that the service outruns within one lease leads to HELD at full load."""
    if service.peak_rate_bytes_s is None:
        return
    terms = topology.lease_terms(service)
    window_ms = terms.ttl_ms + terms.renew_ms
    reach_bytes = service.peak_rate_bytes_s * window_ms // 1000
    if service.loss_bound_bytes < reach_bytes:
        document.add(
            (*loc, "loss_bound"),
            f"{service.loss_bound_bytes} bytes",
            f"at its peak of {service.peak_rate_bytes_s} bytes/s the service writes "
            f"{reach_bytes} bytes in ttl + renew ({window_ms} ms), more than its bound: a "
            "failover at full load would be HELD",
            f"raise loss_bound to {reach_bytes} bytes or more, or shorten the lease",
            Severity.WARNING,
        )
