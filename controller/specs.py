"""From the declared topology to what the rules need of it."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import asdict

from config.policy import Policy
from config.topology import Agent, Capacity, Replica, Service, ServiceStage, Site, Topology
from controller.core.configured import misfits
from controller.core.events import Configured
from controller.core.model import (
    BackupLoss,
    DiskFilling,
    Protection,
    Record,
    ReplicaSpec,
    ServiceSpec,
)
from controller.core.plan_model import Failback, MoveRules
from controller.core.site_model import (
    Consequence,
    LinkSpec,
    Load,
    Nation,
    SiteSpec,
    SiteState,
    Stage,
)
from controller.core.sites.policy import policy_of
from controller.core.sites.probes import with_probe_lists


class RecordUnfit(Exception):
    """The store's record of a service names a replica that is not declared any more."""


class Wish(Struct, frozen=True):
    """Who wants a reload and how, and what is told of it in the history."""

    by: str
    reason: str = ""
    dry_run: bool = False
    file: str = ""
    told: str = ""


def service_specs(topology: Topology) -> tuple[ServiceSpec, ...]:
    """All declared services that are not retired, in the order of the file."""
    kept = (s for s in topology.services if s.state is not ServiceStage.RETIRED)
    # Of 250 services on as many agents, to look each of these up anew costs their square.
    agents = {agent.id: agent for agent in topology.agents}
    stages = {site.id: Stage(site.state.value) for site in topology.sites}
    return tuple(
        _service_spec(
            topology, service, tuple(_replica(r, agents, stages) for r in service.by_priority)
        )
        for service in kept
    )


def _service_spec(
    topology: Topology, service: Service, replicas: tuple[ReplicaSpec, ...]
) -> ServiceSpec:
    """One service, with its replicas in the order of their priority."""
    return ServiceSpec(
        name=service.name,
        uid=service.uid,
        terms=topology.lease_terms(service),
        replicas=replicas,
        protection=Protection(service.protection.value),
        loss_bound_bytes=service.loss_bound_bytes,
        system_identifier=service.system_identifier or "",
        report_interval_ms=topology.controller.report_interval_ms,
        tier=service.tier.value,
        backup_loss=BackupLoss(service.backup_loss.value),
        disk_filling=DiskFilling(service.disk_filling.value),
        group=service.group or "",
        order=service.order or 0,
        demand=_load(service.demand) or Load(),
    )


def retired(topology: Topology) -> tuple[str, ...]:
    """Uids of the services that are given up."""
    return tuple(s.uid for s in topology.services if s.state is ServiceStage.RETIRED)


def nation(topology: Topology) -> Nation:
    """All declared sites and agents, of which nothing was heard yet."""
    declared = Nation(
        home=topology.controller.failure_domain,
        sites={site.id: SiteState(_site_spec(topology, site)) for site in topology.sites},
        addresses={agent.id: agent.address for agent in topology.agents},
        link_specs=tuple(
            LinkSpec((link.between[0], link.between[1]), link.name, link.shared_risk_links)
            for link in topology.links
        ),
        report_interval_ms=topology.controller.report_interval_ms,
    )
    return with_probe_lists(declared)


def declared(
    id_: str, topology: Topology, stored: dict[str, Record], left_alone: Iterable[str], wish: Wish
) -> Configured:
    """The topology as the rules are told of it while they run.

    `left_alone` are the uids of services whose records cannot be read.
    """
    skipped = tuple(left_alone)
    return Configured(
        id=id_,
        specs=tuple(spec for spec in service_specs(topology) if spec.uid not in skipped),
        nation=nation(topology),
        stored=stored,
        retired=retired(topology),
        move_rules=move_rules(topology),
        **asdict(wish),
    )


def require_fit(spec: ServiceSpec, record: Record) -> None:
    """Raise RecordUnfit when the stored reign cannot go on under what is declared."""
    if unfit := misfits(spec, record):
        raise RecordUnfit("; ".join(unfit))


def _site_spec(topology: Topology, site: Site) -> SiteSpec:
    return SiteSpec(
        name=site.id,
        stage=Stage(site.state.value),
        agents=tuple(agent.id for agent in topology.agents if agent.site == site.id),
        partner=topology.partner_site(site.id) or "",
        capacity=_load(site.capacity),
        shared_risk_links=site.shared_risk_links,
        gives_up=site.gives_up,
        policy=policy_of(_policy(topology.policy), _policy(site.policy)),
    )


def move_rules(topology: Topology) -> MoveRules:
    """How sites are moved."""
    moves = topology.moves
    return MoveRules(moves.dwell_ms, moves.per_hour, moves.at_once, Failback(moves.failback.value))


def _policy(declared: Policy) -> dict[str, dict[str, Consequence]]:
    return {
        reason: {tier: Consequence(led.value) for tier, led in by_tier.items()}
        for reason, by_tier in declared.items()
    }


def _load(declared: Capacity | None) -> Load | None:
    """What is not declared is 0: nothing is demanded, or nothing refused for the want of it."""
    if declared is None:
        return None
    return Load(
        declared.vcpu or 0.0,
        declared.memory_gib or 0.0,
        declared.storage_tib or 0.0,
        declared.connections or 0,
    )


def _replica(replica: Replica, agents: dict[str, Agent], stages: dict[str, Stage]) -> ReplicaSpec:
    agent = agents[replica.agent]
    return ReplicaSpec(
        agent=replica.agent,
        site=replica.site,
        priority=replica.priority,
        engine_address=replica.address,
        agent_address=agent.address,
        public_key=agent.public_key,
        stage=stages[replica.site],
    )
