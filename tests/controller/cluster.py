"""A small cluster for the controller's tests: two sites, an agent in each, two services."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from config.loader import load_topology
from config.topology import Topology
from lab.base.ports import free_address
from protocol.messages import Ask, Header, Renew, ReplicaReport, Report, Role
from protocol.sealing import Signer

UID = "c1"


@dataclass(frozen=True)
class Cluster:
    """The files of one cluster, and what its agents say."""

    directory: Path
    config: Path
    listen: str
    broker: str
    public_key: str

    @property
    def topology(self) -> Topology:
        """The configuration, loaded."""
        return load_topology(self.config).value

    @property
    def signer(self) -> Signer:
        """The controller's."""
        return Signer.from_file(self.directory / "controller.key")

    def password(self, agent: str) -> str:
        """What the embedded broker wants of an agent."""
        return (self.directory / "broker" / "passwords" / agent).read_text()

    def change(self, old: str, new: str) -> None:
        """Change the text of the configuration."""
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))

    def report(self, agent: str, sequence: int, *replicas: ReplicaReport) -> Report:
        """What an agent reports."""
        return Report(Header(UID, agent, "boot", f"{agent}-life", sequence), replicas)

    def renew(self, agent: str, sequence: int, *asks: Ask) -> Renew:
        """What a holder asks for."""
        return Renew(Header(UID, agent, "boot", f"{agent}-life", sequence), asks)

    def replica(self, service: str, **more: Any) -> ReplicaReport:
        """One copy, a primary under the first record unless told otherwise."""
        facts: dict[str, Any] = {"revision": 1, "epoch": 1, "role": Role.PRIMARY} | more
        return ReplicaReport(service=service, service_uid=service, **facts)

    def ask(self, service: str, nonce: str, **more: Any) -> Ask:
        """A question for a lease, with a proof."""
        facts: dict[str, Any] = {"revision": 1, "epoch": 1, "proven": True} | more
        return Ask(service=service, service_uid=service, nonce=nonce, **facts)


def write_key(path: Path) -> str:
    """Make a signing key; its public half."""
    raw = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.touch(mode=0o600)
    path.write_bytes(raw)
    return Signer.from_file(path).public_key


def service(name: str, first: str, second: str, port: int) -> dict[str, object]:
    """A declared service."""
    return {
        "name": name,
        "engine": "postgresql",
        "tier": "tinggi",
        "lease_profile": "fast",
        "replicas": [
            {"site": first, "priority": 1, "address": f"127.0.0.1:{port}"},
            {"site": second, "priority": 2, "address": f"127.0.0.1:{port + 1}"},
        ],
    }


def make_cluster(directory: Path) -> Cluster:
    """Write a configuration with fresh keys and free ports."""
    public_key = write_key(directory / "controller.key")
    listen, broker = free_address(), free_address()
    sites = {"batam": (1.19, 104.11), "jabodetabek": (-6.37, 107.17)}
    content = {
        "version": 1,
        "cluster": {"name": "Test", "uid": UID},
        "controller": {
            "failure_domain": "arbiter",
            "listen": listen,
            "signing_key": "controller.key",
            "public_key": public_key,
        },
        "store": {"kind": "sqlite", "path": "store/controller.db"},
        "journal": {"directory": "journal"},
        "brokers": {"embedded": {"listen": broker, "directory": "broker"}},
        "sites": [
            {
                "id": site,
                "name": site.title(),
                "state": "active",
                "location": {"latitude": latitude, "longitude": longitude},
            }
            for site, (latitude, longitude) in sites.items()
        ],
        "pairs": [{"sites": list(sites)}],
        "agents": [
            {
                "id": f"{site}-1",
                "site": site,
                "address": free_address(),
                "public_key": write_key(directory / f"{site}.key"),
            }
            for site in sites
        ],
        "services": [
            service("paspor", "jabodetabek", "batam", 40001),
            service("pajak", "batam", "jabodetabek", 40003),
        ],
    }
    config = directory / "cluster.yaml"
    config.write_text(yaml.safe_dump(content, sort_keys=False))
    return Cluster(directory, config, listen, broker, public_key)
