"""What Patroni and its etcd are given: their configuration, made from the lab's plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.base.geography import ARBITER
from lab.base.plan import ENGINE_SETTINGS, Plan, agent_of, port_of
from lab.peers.places import Places

ENGINE_PORT = 5432
CLIENT_PORT = 2379
PEER_PORT = 2380


@dataclass(frozen=True)
class Timing:
    """How Patroni is set, in whole seconds. `name` stands in the table."""

    name: str
    ttl_s: int
    loop_wait_s: int
    retry_timeout_s: int


TIMINGS = (
    Timing("default", ttl_s=30, loop_wait_s=10, retry_timeout_s=10),
    # The least that Patroni takes of each; what is lower it raises by itself.
    Timing("tightest", ttl_s=20, loop_wait_s=1, retry_timeout_s=3),
)


def rest_port(plan: Plan, site: str) -> int:
    """Of Patroni's REST API: one that is free on this process's own loopback, for its door."""
    return port_of(plan.address(f"rest {site}"))


def etcd_command(program: Path, plan: Plan, places: Places, place: str) -> list[str]:
    """One of three members: in both sites and at the arbiter's."""
    own, host = places.address(place), places.host(place)
    members = (*plan.sites, ARBITER)
    cluster = ",".join(f"{m}=http://{places.host(m)}:{PEER_PORT}" for m in members)
    return [
        str(program),
        *("--name", place, "--data-dir", str(plan.site_directory(place) / "etcd")),
        *("--listen-client-urls", f"http://{own}:{CLIENT_PORT}"),
        *("--advertise-client-urls", f"http://{host}:{CLIENT_PORT}"),
        *("--listen-peer-urls", f"http://{own}:{PEER_PORT}"),
        *("--initial-advertise-peer-urls", f"http://{host}:{PEER_PORT}"),
        *("--initial-cluster", cluster, "--initial-cluster-state", "new"),
    ]


def write_patroni(
    plan: Plan, places: Places, service: str, site: str, timing: Timing, password: str
) -> Path:
    """Write one member's file and return it."""
    own, host = places.address(site), places.host(site)
    settings = plan.service(service).settings
    members = (site, *(m for m in (*plan.sites, ARBITER) if m != site))
    document: dict[str, Any] = {
        "scope": service,
        "name": agent_of(site),
        "restapi": {
            "listen": f"{places.address_with_door(site)}:{rest_port(plan, site)}",
            "connect_address": f"{host}:{rest_port(plan, site)}",
        },
        "etcd3": {"hosts": [f"{places.host(m)}:{CLIENT_PORT}" for m in members]},
        "watchdog": {"mode": "off"},
        "bootstrap": {
            "dcs": _shared(timing, settings),
            "initdb": [{"encoding": "UTF8"}, "data-checksums"],
        },
        "postgresql": _engine(plan, service, site, own, host, password),
    }
    path = plan.site_directory(site) / "patroni.yaml"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def _shared(timing: Timing, settings: Mapping[str, str]) -> dict[str, Any]:
    return {
        "ttl": timing.ttl_s,
        "loop_wait": timing.loop_wait_s,
        "retry_timeout": timing.retry_timeout_s,
        "synchronous_mode": False,
        "postgresql": {
            "use_pg_rewind": True,
            "use_slots": True,
            "parameters": {**ENGINE_SETTINGS, **settings, "track_commit_timestamp": "on"},
        },
    }


def _engine(
    plan: Plan, service: str, site: str, own: str, host: str, password: str
) -> dict[str, Any]:
    sockets = plan.run_directory(service, site) / "socket"
    sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
    roles = {"superuser": "postgres", "replication": "replicator", "rewind": "rewinder"}
    return {
        "listen": f"{own}:{ENGINE_PORT}",
        "connect_address": f"{host}:{ENGINE_PORT}",
        "data_dir": str(plan.data_directory(site) / service),
        "bin_dir": str(plan.binaries),
        "pgpass": str(plan.site_directory(site) / "pgpass"),
        "authentication": {
            role: {"username": name, "password": password} for role, name in roles.items()
        },
        "parameters": {"unix_socket_directories": str(sockets)},
        "pg_hba": [
            "local all all trust",
            "host replication replicator all scram-sha-256",
            "host all all all scram-sha-256",
        ],
        "basebackup": [{"checkpoint": "fast"}],
    }
