"""Whether each site could carry what its partner's loss would bring it, and groups move in time.

Worked out from where services are meant to stand, the replica of the first priority: what fails
over at a moment when others stand elsewhere is held by the controller's rules.
"""

from __future__ import annotations

from collections.abc import Iterable

from config.measures import UNITS
from config.problems import Loc, Severity
from config.reader import Document
from config.tiers import Tier
from config.topology import Capacity, Service, ServiceStage, Site, Topology

LEAST_FIRST = (Tier.RENDAH, Tier.TINGGI, Tier.STRATEGIS)


def check(document: Document, topology: Topology) -> None:
    """Notes every site that could never carry its partner's loss, with the arithmetic."""
    for index, site in enumerate(topology.sites):
        loc: Loc = ("sites", index)
        if check_given_up(document, topology, site, loc) and site.capacity is not None:
            check_site(document, topology, site, (*loc, "capacity"))


def check_given_up(document: Document, topology: Topology, site: Site, loc: Loc) -> bool:
    """Whether all that is given up here could have come here at all."""
    come = [service.name for service in topology.services if is_incoming(service, site)]
    wrong = [name for name in site.gives_up if name not in come]
    for name in wrong:
        what = "can come here" if come else "is backed up here"
        document.add(
            (*loc, "gives_up"),
            name,
            f"no service {name} has its preferred primary elsewhere and its backup at {site.id}",
            f"name only what {what}: {', '.join(come) or 'nothing'}",
        )
    if site.gives_up and site.capacity is None:
        document.add(
            (*loc, "gives_up"),
            ", ".join(site.gives_up),
            "nothing is refused for the want of room where no capacity is declared",
            "declare the capacity of the site, or leave gives_up out",
        )
    return not wrong


def check_site(document: Document, topology: Topology, site: Site, loc: Loc) -> None:
    """What it has must suffice for its own, and for what the loss of the others brings."""
    own = [s for s in in_use(topology) if s.by_priority[0].site == site.id]
    come = [s for s in incoming(topology, site) if s.name not in site.gives_up]
    for key, unit in UNITS.items():
        has = amount(site.capacity, key)
        needs_own, needs_all = total(own, key), total([*own, *come], key)
        if not has or needs_all <= has:
            continue
        carries = f"{number(needs_own)} of its own{listed(own, key)}"
        if needs_own > has:
            text = f"it is to carry {carries} and has {number(has)} {unit}"
            mend = "raise the capacity, or move a service's first priority to another site"
        else:
            text = (
                f"when its partner is lost it has to carry {number(needs_all)} {unit} and has "
                f"{number(has)}: {carries}, and {number(needs_all - needs_own)} that come"
                f"{listed(come, key)}"
            )
            names = ", ".join(enough(come, key, needs_all - has))
            mend = f"raise the capacity, or say what is not carried then: `gives_up: [{names}]`"
        document.add((*loc, key), number(has), text, mend)


def incoming(topology: Topology, site: Site) -> list[Service]:
    """What has its preferred primary elsewhere and its backup here."""
    return [service for service in in_use(topology) if is_incoming(service, site)]


def is_incoming(service: Service, site: Site) -> bool:
    """Whether one service would come here, were it in use."""
    return any(replica.site == site.id for replica in service.by_priority[1:])


def in_use(topology: Topology) -> list[Service]:
    """All but the retired ones: nobody looks after those, so they need nothing and go nowhere."""
    return [s for s in topology.services if s.state is not ServiceStage.RETIRED]


def enough(come: list[Service], key: str, missing: float) -> list[str]:
    """Names of the least important ones whose demand together is as much as is missing."""
    named: list[str] = []
    for service in sorted(come, key=lambda s: (LEAST_FIRST.index(s.tier), -(s.order or 0))):
        if missing > 0 and amount(service.demand, key):
            named.append(service.name)
            missing -= amount(service.demand, key)
    return named


def amount(of: Capacity | None, key: str) -> float:
    """0 where nothing is declared."""
    return float(getattr(of, key) or 0) if of is not None else 0.0


def total(services: Iterable[Service], key: str) -> float:
    """What they demand together, without the dust of fractions."""
    return round(sum(amount(service.demand, key) for service in services), 6)


def listed(services: Iterable[Service], key: str) -> str:
    """` (paspor 20, pajak 12)`."""
    named = [
        f"{service.name} {number(amount(service.demand, key))}"
        for service in services
        if amount(service.demand, key)
    ]
    return f" ({', '.join(named)})" if named else ""


def number(value: float) -> str:
    """As one writes it."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def weaknesses(document: Document, topology: Topology) -> None:
    """Notes as warnings what the arithmetic does not know, and who waits in a group for whom."""
    for index, service in enumerate(topology.services):
        if service.state is ServiceStage.RETIRED:
            continue
        loc: Loc = ("services", index)
        warn_of_no_demand(document, topology, service, loc)
        warn_of_slow_group(document, topology, service, loc)


def warn_of_no_demand(document: Document, topology: Topology, service: Service, loc: Loc) -> None:
    """It would be taken to need nothing."""
    sites = [topology.site(replica.site) for replica in service.by_priority]
    limited = [site.id for site in sites if site.capacity is not None]
    if limited and service.demand is None:
        document.add(
            (*loc, "demand"),
            "",
            f"{' and '.join(limited)} declare what they can carry, and this service not what it "
            "needs: it counts as nothing",
            "give its demand, such as {vcpu: 16, memory_gib: 64}",
            Severity.WARNING,
        )


def warn_of_slow_group(document: Document, topology: Topology, service: Service, loc: Loc) -> None:
    """A service is not promoted before the earlier ones of its group are."""
    ttl_ms = topology.lease_terms(service).ttl_ms
    slower = [
        (other.name, topology.lease_terms(other).ttl_ms)
        for other in in_use(topology)
        if service.group is not None
        and other.group == service.group
        and (other.order or 0) < (service.order or 0)
        and topology.lease_terms(other).ttl_ms > ttl_ms
    ]
    if slower:
        name, slow_ms = max(slower, key=lambda one: one[1])
        document.add(
            (*loc, "order"),
            str(service.order),
            f"it is promoted after {name}, whose lease lasts {slow_ms} ms, and its own only "
            f"{ttl_ms} ms: when a site is lost it waits for {name}",
            "give both the same lease profile",
            Severity.WARNING,
        )
