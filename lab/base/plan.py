"""What one lab consists of, and the configuration files that say so to its parts.

Every engine, agent, broker and the controller listens on a port of its own: at its place's
address where the network has one, on loopback where not. There, whoever speaks to another site
goes through a link: the agents' `reach` and their brokers name it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lab.base.binaries import wheel_binaries
from lab.base.geography import ARBITER, PAIRS, SITES
from lab.base.keys import LabKeys
from lab.base.ports import LOOPBACK, free_port

CLUSTER = "lab"
LOCATIONS = {
    "jabodetabek": (-6.37, 107.17),
    "batam": (1.19, 104.11),
    "ikn": (-0.97, 116.71),
    "labuan-bajo": (-8.49, 119.89),
}
CABLES = {
    "jabodetabek": ("java-bangka-batam", "ancol-landing"),
    "batam": ("java-bangka-batam", "batam-strait"),
    "ikn": ("makassar-strait",),
    "labuan-bajo": ("bali-lombok-flores",),
}
"""What sites share that one anchor may cut."""
DISK_FLOOR = "128MiB"
ENGINE_SETTINGS = {
    "shared_buffers": "16MB",
    "max_connections": "40",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "30min",
    # Its commits would be counted among those that an old primary made alone.
    "autovacuum": "off",
}


@dataclass(frozen=True)
class Service:
    """One service of the lab; `sites`: where its primary and its backup stand at first."""

    name: str
    sites: tuple[str, str]
    profile: str = "fast"
    protection: str = "async"
    tier: str = "strategis"
    loss_bound: str = "16MiB"
    lease: Mapping[str, str] = field(default_factory=dict)
    """Own numbers, in the words of the topology, instead of the profile's."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """PostgreSQL's, on top of ENGINE_SETTINGS."""
    backup_loss: str = ""
    """What a sync service does then: `alone` or `block`; empty leaves the default."""
    disk_filling: str = "alarm"
    group: str = ""
    """Services of one group move together, those of a lower order first."""
    order: int = 0
    demand: Mapping[str, Any] = field(default_factory=dict)
    """What it needs where it is primary, in the words of the topology."""
    fences: Mapping[str, str] = field(default_factory=lambda: {"nftables": "off"})
    """Of the agents. A killed lab leaves what its guards told the kernel, but for that of a network
    namespace, which goes with it."""


FOUR_SERVICES = (
    Service("paspor", ("jabodetabek", "batam")),
    Service("kependudukan", ("batam", "jabodetabek")),
    Service("pajak", ("ikn", "labuan-bajo")),
    Service("rumah-sakit", ("labuan-bajo", "ikn")),
)
"""Mutual backup: each site is primary for one service and backup for its partner's."""


@dataclass(frozen=True)
class Plan:
    """Which sites and services there are, and where everything listens."""

    directory: Path
    services: tuple[Service, ...] = FOUR_SERVICES
    broker_count: int = 2
    binaries: Path = field(default_factory=wheel_binaries)
    hosts: Mapping[str, str] = field(default_factory=dict)
    """The IP address of each place that has one; the network says so."""
    rules: Mapping[str, Any] = field(default_factory=dict)
    """More of the topology's own keys, such as `policy` and `moves`."""
    rooms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By site: what it declares of its room, in the words of the topology."""
    ports: dict[str, str] = field(default_factory=dict)
    """What listens where: 'engine paspor batam', 'agent batam', 'broker 0', 'controller'."""

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites on which a service stands."""
        used = {site for service in self.services for site in service.sites}
        return tuple(site for site in SITES if site in used)

    @property
    def agents(self) -> tuple[str, ...]:
        return tuple(agent_of(site) for site in self.sites)

    def services_at(self, site: str) -> tuple[Service, ...]:
        return tuple(service for service in self.services if site in service.sites)

    def service(self, name: str) -> Service:
        return next(service for service in self.services if service.name == name)

    def address(self, what: str) -> str:
        """host:port; chosen when first asked for."""
        if what not in self.ports:
            host = self.hosts.get(_place_of(what), LOOPBACK)
            self.ports[what] = f"{host}:{free_port()}"
        return self.ports[what]

    def engine(self, service: str, site: str) -> str:
        return self.address(f"engine {service} {site}")

    @property
    def journal_directory(self) -> Path:
        """Where the controller writes down what it decides."""
        return self.directory / ARBITER / "journal"

    def site_directory(self, site: str) -> Path:
        return self.directory / site

    def data_directory(self, site: str) -> Path:
        """Where the data directories of all engines of the site stand."""
        return self.site_directory(site) / "data"

    def run_directory(self, service: str, site: str) -> Path:
        """Where the sockets of the guard and the engine stand."""
        return self.site_directory(site) / "run" / service

    @property
    def topology_file(self) -> Path:
        return self.directory / "topology.yaml"

    def agent_file(self, site: str) -> Path:
        return self.site_directory(site) / "agent.yaml"

    def power_fails(self, site: str) -> Path:
        """The site's own check says so while this file is there."""
        return self.site_directory(site) / "power-fails"


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def agent_of(site: str) -> str:
    """The one agent of a site."""
    return f"{site}-1"


def site_of(agent: str) -> str:
    """The site of an agent."""
    return agent.removesuffix("-1")


def write_topology(plan: Plan, keys: LabKeys) -> None:
    """Write the controller's file."""
    document: dict[str, Any] = {
        "version": 1,
        "cluster": {"name": "The lab", "uid": CLUSTER},
        "controller": {
            "failure_domain": ARBITER,
            "listen": plan.address("controller"),
            "signing_key": str(keys.controller.signing_key),
            "public_key": keys.controller.public_key,
        },
        "store": {"kind": "sqlite", "path": str(plan.directory / ARBITER / "store.db")},
        "journal": {"directory": str(plan.journal_directory)},
        "brokers": [
            {
                "url": f"mqtt://{plan.address(f'broker {n}')}",
                "username": "controller",
                "password_file": str(keys.controller.password_file),
            }
            for n in range(plan.broker_count)
        ],
        **plan.rules,
        "sites": [{**_site(site), **plan.rooms.get(site, {})} for site in plan.sites],
        "pairs": [{"sites": list(pair)} for pair in PAIRS if set(pair) <= set(plan.sites)],
        "agents": [
            {
                "id": agent_of(site),
                "site": site,
                "address": plan.address(f"agent {site}"),
                "public_key": keys.agents[agent_of(site)].public_key,
            }
            for site in plan.sites
        ],
        "services": [_service(plan, service) for service in plan.services],
    }
    _write(plan.topology_file, document)


def write_agent(plan: Plan, keys: LabKeys, site: str, reach: Mapping[str, str]) -> None:
    """Write one agent's file. `reach`: from what listens elsewhere to the link that leads there."""
    party = keys.agents[agent_of(site)]
    brokers = [plan.address(f"broker {n}") for n in range(plan.broker_count)]
    document: dict[str, Any] = {
        "version": 1,
        "cluster": CLUSTER,
        "agent": agent_of(site),
        "site": site,
        "listen": plan.address(f"agent {site}"),
        "state_directory": str(plan.site_directory(site) / "state"),
        "brokers": [
            {
                "url": f"mqtt://{reach[address]}",
                "username": party.name,
                "password_file": str(party.password_file),
            }
            for address in brokers
        ],
        "tls": {
            "certificate": str(party.certificate),
            "key": str(party.certificate_key),
            "authority": str(keys.authority),
        },
        "signing_key": str(party.signing_key),
        "controller_public_key": keys.controller.public_key,
        "reach": {
            here: there for here, there in reach.items() if here not in brokers and here != there
        },
        "services": [_local_service(plan, keys, s, site) for s in plan.services_at(site)],
    }
    checks = plan.site_directory(site) / "checks.yaml"
    _write(checks, {"version": 1, "checks": [_check(plan.power_fails(site))]})
    _write(plan.agent_file(site), {**document, "symptoms": {"checks": str(checks)}})


def _check(sign: Path) -> dict[str, Any]:
    """Of the site's power: it fails while a file is there."""
    command = f"test ! -e {sign} || {{ echo on batteries; exit 1; }}"
    often = {"interval": "1s", "timeout": "1s", "on_after": "1s", "off_after": "2s"}
    return {"kind": "power", "command": ["/bin/sh", "-c", command], **often}


def _site(site: str) -> dict[str, Any]:
    latitude, longitude = LOCATIONS[site]
    return {
        "id": site,
        "name": site.replace("-", " ").title(),
        "state": "active",
        "location": {"latitude": latitude, "longitude": longitude},
        "shared_risk_links": list(CABLES[site]),
    }


def _service(plan: Plan, service: Service) -> dict[str, Any]:
    return {
        "name": service.name,
        "engine": "postgresql",
        "tier": service.tier,
        "protection": service.protection,
        "loss_bound": service.loss_bound,
        **({"lease": dict(service.lease)} if service.lease else {"lease_profile": service.profile}),
        **({"backup_loss": service.backup_loss} if service.backup_loss else {}),
        "disk_filling": service.disk_filling,
        **({"group": service.group, "order": service.order} if service.group else {}),
        **({"demand": dict(service.demand)} if service.demand else {}),
        "databases": ["postgres"],
        "replicas": [
            {"site": site, "priority": number, "address": plan.engine(service.name, site)}
            for number, site in enumerate(service.sites, start=1)
        ],
    }


def _local_service(plan: Plan, keys: LabKeys, service: Service, site: str) -> dict[str, Any]:
    return {
        "name": service.name,
        "engine": "postgresql",
        "data_directory": str(plan.data_directory(site) / service.name),
        "listen": plan.engine(service.name, site),
        "socket_directory": str(plan.run_directory(service.name, site)),
        "binaries": str(plan.binaries),
        "replication_password_file": str(keys.database_password_file),
        "seed_rate": "100MiB/s",
        # Little, so that the disk of a small machine is none that fills.
        "disk_floor": DISK_FLOOR,
        "settings": {**ENGINE_SETTINGS, **service.settings},
        "fences": dict(service.fences),
    }


def _write(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def _place_of(what: str) -> str:
    """Where it listens. The controller's API asks for no token, so it stays on loopback."""
    kind, *names = what.split()
    return {"engine": names[-1:], "agent": names[-1:], "broker": [ARBITER]}.get(kind, [""])[0]
