"""The one file of the cluster: sites, pairs, agents, services, brokers, store.

Durations are milliseconds, sizes bytes, rates bytes a second, and say so in their names;
in the file the keys stand without the unit, and the values with it. What one entry cannot
know of another is checked in config.crosscheck.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.brokers import Broker, Brokers, EmbeddedBroker, EmbeddedForm
from config.drills import DAY_MS, TIER_GOALS, Drill, Goal, Targets
from config.hazards import Hazards
from config.leases import DEFAULT_PROFILE, PROFILES, Lease
from config.model import Declared, quantity
from config.moves import Moves
from config.policy import Policy
from config.problems import Refused
from config.tiers import Tier
from config.values import (
    Address,
    DurationMs,
    FilePath,
    NameText,
    PublicKey,
    RateBytesS,
    Real,
    SizeBytes,
    SystemIdentifier,
    UidText,
    Whole,
    is_loopback,
)
from config.zones import TimeZone, zone_at
from protocol.messages import LeaseTerms

MIB = 2**20

Latitude = Annotated[Real, Field(ge=-90, le=90)]
Longitude = Annotated[Real, Field(ge=-180, le=180)]
Amount = Annotated[Real, Field(gt=0, le=1e9)]
Count = Annotated[Whole, Field(gt=0, le=10**9)]
Title = Annotated[str, Field(min_length=1, max_length=100)]
DatabaseName = Annotated[str, Field(min_length=1, max_length=63)]
Priority = Annotated[Whole, Field(ge=1, le=1000)]


class SiteState(StrEnum):
    """Where a site is in its life."""

    PLANNED = "planned"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    RETIRED = "retired"


class Protection(StrEnum):
    """Whether a commit waits for the backup."""

    ASYNC = "async"
    SYNC = "sync"


class BackupLoss(StrEnum):
    """What a sync service does when its backup is lost."""

    ALONE = "alone"
    BLOCK = "block"


class DiskFilling(StrEnum):
    """What is done when the disk of a primary fills."""

    ALARM = "alarm"
    SWITCHOVER = "switchover"


class ServiceStage(StrEnum):
    """Whether a service is looked after."""

    ACTIVE = "active"
    RETIRED = "retired"
    """Given up: the controller orders nothing of it and grants it no lease."""


class Cluster(Declared):
    """The name to show and the identifier that every message carries."""

    name: Title
    uid: UidText


class OperatorRole(StrEnum):
    """What somebody with a token of his own may do."""

    VIEWER = "viewer"
    """Look."""
    ALARM = "alarm"
    """Look, and place the holds that an alarm asks for: for Alertmanager."""
    OPERATOR = "operator"


class Operator(Declared):
    """Somebody with a token of his own: what he asks for stands under his name."""

    name: Title
    token_file: FilePath
    role: OperatorRole = OperatorRole.OPERATOR


class Controller(Declared):
    """The central daemon: where it stands, where it listens, its keys."""

    failure_domain: NameText
    """A site, or a place of its own such as an arbiter."""
    listen: Address = "127.0.0.1:8700"
    signing_key: FilePath
    public_key: PublicKey
    api_token_file: FilePath | None = None
    """One token for all: who asks is what he says of himself."""
    operators: tuple[Operator, ...] = ()
    report_interval_ms: DurationMs = quantity("report_interval", 500, "500ms")

    @model_validator(mode="after")
    def is_guarded(self) -> Self:
        """An API that others can reach asks for a token."""
        if not is_loopback(self.listen) and self.api_token_file is None and not self.operators:
            raise Refused(
                f"listens on {self.listen}, beyond this machine, without operators or "
                "api_token_file",
                "give operators a token each, or one api_token_file, or listen on 127.0.0.1",
                key="api_token_file",
            )
        if self.operators and self.api_token_file is not None:
            raise Refused(
                "stands beside operators: with the token of all anybody could claim any name",
                "leave api_token_file out, and give each a token of his own under operators",
                key="api_token_file",
            )
        # As the rules tell people apart: `controller.core.gates.approvals.same_person`.
        names = ["".join(one.name.split()).casefold() for one in self.operators]
        twice = [self.operators[i].name for i, name in enumerate(names) if names.count(name) > 1]
        if twice:
            raise Refused(
                f"has one name twice ({', '.join(twice)}), but two people must be told apart",
                "give each operator a name of his own",
                key="operators",
            )
        if not 100 <= self.report_interval_ms <= 60_000:
            raise Refused(
                f"report_interval is {self.report_interval_ms} ms, outside 100ms to 1m",
                "choose from 100ms to 1m",
                key="report_interval",
            )
        return self


class Store(Declared):
    """Where the records of the services are kept."""

    kind: Literal["sqlite"]
    path: FilePath


class Journal(Declared):
    """Where the inputs that changed the state are written down, and how many files stay."""

    directory: FilePath
    max_size_bytes: SizeBytes = quantity("max_size", 64 * MIB, "64MiB")
    keep: Annotated[Whole, Field(ge=1, le=1000)] = 8


class Location(Declared):
    """Degrees; south and west are negative."""

    latitude: Latitude
    longitude: Longitude


class Capacity(Declared):
    """What a site can carry, or a service demands where it is primary."""

    vcpu: Amount | None = None
    memory_gib: Amount | None = None
    storage_tib: Amount | None = None
    connections: Count | None = None


class Site(Declared):
    """A data centre."""

    id: NameText
    name: Title
    state: SiteState
    location: Location
    time_zone: TimeZone | None = None
    """By whose clock its people live; if left out the zone is that of its longitude."""
    hazard_zones: tuple[NameText, ...] = ()
    shared_risk_links: tuple[NameText, ...] = ()
    capacity: Capacity | None = None
    gives_up: tuple[NameText, ...] = ()
    """Services of the partner that this site does not carry, too, when the partner is lost."""
    policy: Policy = Field(default_factory=dict)
    """What the reasons of this site lead to, where it is otherwise than in every site."""

    @property
    def zone(self) -> TimeZone:
        """WIB, WITA or WIT."""
        return self.time_zone or zone_at(self.location.longitude)


class Pair(Declared):
    """Two sites that back each other up."""

    sites: Annotated[tuple[NameText, ...], Field(min_length=2, max_length=2)]


class Link(Declared):
    """One way between two sites; there may be several between the same two."""

    between: Annotated[tuple[NameText, ...], Field(min_length=2, max_length=2)]
    name: NameText = ""
    """May be left out where the two have one link only."""
    shared_risk_links: Annotated[tuple[NameText, ...], Field(min_length=1)]
    """Cables and ducts that it runs over: what names the same one fails with it."""


class Agent(Declared):
    """One process of Saling on one host: how to reach it and whom to believe."""

    id: NameText
    site: NameText
    address: Address
    """host:port of its HTTPS."""
    public_key: PublicKey


class Replica(Declared):
    """One copy of a service."""

    site: NameText
    agent: NameText = ""
    """May be left out where the site has one agent; the loader fills it in."""
    priority: Priority
    """1 is the preferred primary."""
    address: Address
    """host:port of its engine."""


class Service(Declared):
    """One replicated stream of data that moves as one."""

    name: NameText
    uid: UidText = Field(default_factory=lambda data: str(data.get("name", "")))
    """The name, if none is given."""
    engine: Literal["postgresql"]
    state: ServiceStage = ServiceStage.ACTIVE
    tier: Tier
    group: NameText | None = None
    order: Annotated[Whole, Field(ge=0, le=1000)] | None = None
    demand: Capacity | None = None
    protection: Protection = Protection.ASYNC
    backup_loss: BackupLoss = BackupLoss.ALONE
    """With sync: whether the primary goes on alone, or commits wait."""
    loss_bound_bytes: SizeBytes = quantity("loss_bound", 16 * MIB, "16MiB")
    peak_rate_bytes_s: RateBytesS | None = Field(None, alias="peak_rate")
    lease_profile: NameText = DEFAULT_PROFILE
    lease: Lease | None = None
    """Own numbers, instead of a profile."""
    disk_filling: DiskFilling = DiskFilling.ALARM
    """Whether the service moves, in order, before the disk of its primary is full."""
    targets: Targets | None = None
    """Where they differ from those of the tier."""
    system_identifier: SystemIdentifier | None = None
    databases: tuple[DatabaseName, ...] = ()
    replicas: Annotated[tuple[Replica, ...], Field(min_length=1, max_length=2)]
    """The rules know a primary and its backup: a third one would be ignored."""

    @model_validator(mode="after")
    def has_one_lease(self) -> Self:
        """Own numbers and a named profile exclude each other."""
        if self.lease is not None and "lease_profile" in self.model_fields_set:
            raise Refused("lease and lease_profile at once", "keep one of the two", key="lease")
        return self

    @model_validator(mode="after")
    def waits_for_a_backup(self) -> Self:
        """In async mode no commit waits for a backup, lost or not."""
        if self.protection is Protection.ASYNC and "backup_loss" in self.model_fields_set:
            raise Refused(
                "backup_loss says what a sync service does when its backup is lost, and this one "
                "is async",
                "write protection: sync, or leave backup_loss out",
                key="backup_loss",
            )
        return self

    @property
    def by_priority(self) -> tuple[Replica, ...]:
        """The replicas, the preferred primary first."""
        return tuple(sorted(self.replicas, key=lambda replica: replica.priority))


class Topology(Declared):
    """The whole cluster as it was declared."""

    version: Literal[1]
    cluster: Cluster
    controller: Controller
    store: Store
    journal: Journal
    brokers: Brokers
    sites: Annotated[tuple[Site, ...], Field(min_length=1)]
    pairs: tuple[Pair, ...] = ()
    links: tuple[Link, ...] = ()
    """What the ways between sites run over; where none is declared between two, it is what both
    name in `shared_risk_links`."""
    agents: Annotated[tuple[Agent, ...], Field(min_length=1)]
    lease_profiles: dict[NameText, Lease] = Field(default_factory=dict)
    drills: tuple[Drill, ...] = ()
    drill_max_age_ms: DurationMs = quantity("drill_max_age", 100 * DAY_MS, "2400h")
    """An older one that passed shows no more that a site can be left."""
    services: tuple[Service, ...] = ()
    hazards: Hazards = Field(default_factory=Hazards)
    policy: Policy = Field(default_factory=dict)
    """What the reasons of a degraded site lead to, in every site."""
    moves: Moves = Field(default_factory=Moves)
    """How whole sites are moved."""

    @property
    def embedded_broker(self) -> EmbeddedBroker | None:
        """The broker that the controller starts by itself, if it does."""
        if isinstance(self.brokers, EmbeddedForm):
            return self.brokers.embedded
        return EmbeddedBroker() if self.brokers == "embedded" else None

    @property
    def broker_list(self) -> tuple[Broker, ...]:
        """The brokers to connect to, the embedded one included."""
        embedded = self.embedded_broker
        if embedded is not None:
            return (Broker(url=f"mqtt://{embedded.listen}"),)
        assert isinstance(self.brokers, tuple)
        return self.brokers

    def site(self, site_id: str) -> Site:
        """Raises KeyError for an unknown site."""
        return {site.id: site for site in self.sites}[site_id]

    def agent(self, agent_id: str) -> Agent:
        """Raises KeyError for an unknown agent."""
        return {agent.id: agent for agent in self.agents}[agent_id]

    def service(self, name: str) -> Service:
        """Raises KeyError for an unknown service."""
        return {service.name: service for service in self.services}[name]

    def partner_site(self, site_id: str) -> str | None:
        """The other site of the pair, if the site is in one."""
        for pair in self.pairs:
            if site_id in pair.sites:
                return pair.sites[1] if pair.sites[0] == site_id else pair.sites[0]
        return None

    def goal(self, service: Service) -> Goal:
        """What outage and loss a service may have."""
        tier = TIER_GOALS[service.tier.value]
        return service.targets.over(tier) if service.targets else tier

    def lease_terms(self, service: Service) -> LeaseTerms:
        """The numbers of a service's lease, as Orders carry them."""
        if service.lease is not None:
            return service.lease.terms()
        own = self.lease_profiles.get(service.lease_profile)
        return own.terms() if own is not None else PROFILES[service.lease_profile]
