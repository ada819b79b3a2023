"""The agent's own file: who it is, where it keeps things, and the engines on its host.

Sizes are bytes and say so in their names; relative paths start at the file's directory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from config.brokers import BrokerList
from config.model import Declared, quantity
from config.values import (
    Address,
    DurationMs,
    FilePath,
    NameText,
    PublicKey,
    RateBytesS,
    SizeBytes,
    UidText,
)

MIB = 2**20

SettingName = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$")]
SettingValue = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f]*$")]


class Tls(Declared):
    """The agent's certificate and key, and the authority that its partners' come from."""

    certificate: FilePath
    key: FilePath
    authority: FilePath


class UpstreamTls(Declared):
    """How an engine believes its upstream's, and what it shows of itself there."""

    authority: FilePath
    certificate: FilePath | None = None
    key: FilePath | None = None


Demand = Literal["required", "if_present", "off"]


class Fences(Declared):
    """The layers outside the guard that end the right to write when the lease does."""

    nftables: Demand = "if_present"
    """The kernel drops the engine's packets at the deadline; needs CAP_NET_ADMIN."""
    watchdog: Demand = "off"
    """A device that resets the whole host when the engine outlives its lease."""
    watchdog_device: FilePath = Path("/dev/watchdog")


class LocalService(Declared):
    """One engine on this host."""

    name: NameText
    uid: UidText | None = None
    """As the cluster's configuration names the service; its name if left out there too."""
    engine: Literal["postgresql"]
    data_directory: FilePath
    listen: Address
    socket_directory: FilePath
    binaries: FilePath | None = None
    """Directory of postgres and pg_basebackup; found by the agent if left out."""
    replication_user: Literal["saling_replication"] = "saling_replication"
    replication_password_file: FilePath
    rewind_password_file: FilePath | None = None
    """Of saling_rewind; the replication role's if left out."""
    upstream_tls: UpstreamTls | None = None
    config_directory: FilePath | None = None
    """Where the DBA's postgresql.conf, pg_hba.conf and pg_ident.conf stand, as in Debian's layout;
    the data directory if left out."""
    client_socket_directories: tuple[FilePath, ...] | None = None
    """Where clients on this host find the server's socket; none but Saling's own if left out."""
    seed_rate_bytes_s: RateBytesS = quantity("seed_rate", 32 * MIB, "32MiB/s")
    quarantine: Literal["wal", "data_directory"] = "wal"
    """What is kept of an old primary that wrote on: its log, or all of its data directory."""
    quarantine_directory: FilePath | None = None
    """Where; beside the data directory if left out."""
    old_copies: Literal["remove", "keep"] = "remove"
    """Whether a copy that was made anew takes the place of the old one for good."""
    disk_floor_bytes: SizeBytes | None = Field(None, alias="disk_floor")
    """The disk of the data is low below this; if left out, below a twentieth of it or 1 GiB."""
    settings: dict[SettingName, SettingValue] = Field(default_factory=dict)
    """More settings for the engine, each value as text."""
    fences: Fences = Fences()


class Symptoms(Declared):
    """What counts as not well at this host, beside what its replicas tell of themselves."""

    checks: FilePath | None = None
    """The file of the site's own checks: config/checks.py."""
    clock_off_ms: DurationMs = quantity("clock_off", 500, "500ms")
    """So far the wall clock may be from those of the other sites' agents."""
    slow_commit_ms: DurationMs = quantity("slow_commit", 250, "250ms")
    """A primary whose commits take longer (p99 of a minute) is not well."""
    posts_without_certificate: bool = False
    """Whether any user of this host may post and withdraw; else a certificate of the cluster's
    authority is needed."""


class AgentConfig(Declared):
    """One agent as it was declared on its host."""

    version: Literal[1]
    cluster: UidText
    agent: NameText
    site: NameText
    listen: Address
    state_directory: FilePath
    brokers: BrokerList
    tls: Tls
    signing_key: FilePath
    controller_public_key: PublicKey
    reach: dict[Address, Address] = Field(default_factory=dict)
    """From a declared address to the one by which it is reached from here."""
    symptoms: Symptoms = Symptoms()
    services: Annotated[tuple[LocalService, ...], Field(max_length=256)] = ()

    def reached(self, address: str) -> str:
        """The address by which a declared one is reached from here."""
        return self.reach.get(address, address)

    def service(self, name: str) -> LocalService:
        """Raises KeyError for a service that this agent does not run."""
        return {service.name: service for service in self.services}[name]
