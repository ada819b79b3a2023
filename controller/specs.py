"""From the declared topology to what the rules need of it."""

from __future__ import annotations

from config.topology import Replica, Service, ServiceStage, Site, Topology
from controller.core.configured import misfits
from controller.core.model import (
    BackupLoss,
    DiskFilling,
    Protection,
    Record,
    ReplicaSpec,
    ServiceSpec,
)
from controller.core.sites.model import Nation, SiteSpec, SiteState, Stage


class RecordUnfit(Exception):
    """The store's record of a service names a replica that is not declared any more."""


def service_specs(topology: Topology) -> tuple[ServiceSpec, ...]:
    """All declared services that are not retired, in the order of the file."""
    kept = (s for s in topology.services if s.state is not ServiceStage.RETIRED)
    return tuple(service_spec(topology, service) for service in kept)


def service_spec(topology: Topology, service: Service) -> ServiceSpec:
    """One service, its replicas in the order of their priority."""
    return ServiceSpec(
        name=service.name,
        uid=service.uid,
        terms=topology.lease_terms(service),
        replicas=tuple(_replica(topology, replica) for replica in service.by_priority),
        protection=Protection(service.protection.value),
        loss_bound_bytes=service.loss_bound_bytes,
        system_identifier=service.system_identifier or "",
        report_interval_ms=topology.controller.report_interval_ms,
        tier=service.tier.value,
        backup_loss=BackupLoss(service.backup_loss.value),
        disk_filling=DiskFilling(service.disk_filling.value),
    )


def retired(topology: Topology) -> tuple[str, ...]:
    """Uids of the services that are given up."""
    return tuple(s.uid for s in topology.services if s.state is ServiceStage.RETIRED)


def nation(topology: Topology) -> Nation:
    """All declared sites, of which nothing was heard yet."""
    return Nation(
        home=topology.controller.failure_domain,
        sites={site.id: SiteState(_site_spec(topology, site)) for site in topology.sites},
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
    )


def _replica(topology: Topology, replica: Replica) -> ReplicaSpec:
    agent = topology.agent(replica.agent)
    return ReplicaSpec(
        agent=replica.agent,
        site=replica.site,
        priority=replica.priority,
        engine_address=replica.address,
        agent_address=agent.address,
        public_key=agent.public_key,
        stage=Stage(topology.site(replica.site).state.value),
    )
