"""What the parts of Saling say to each other: Report, Order, Renew, Grant.

An agent reports where each of its replicas stands (Report) and the controller assigns
each replica a goal under a revision (Order). The holder of a lease asks a grantor to
extend it (Renew) and the grantor answers (Grant). There is no other message and no remote
call: what is lost, doubled or late is mended by the next Report and the next Order.

Positions are bytes in the engine's log, durations are milliseconds, rates are bytes a
second. A field that is unknown to the reader is ignored, so that version N understands
N+1; a field that is new in N has a default, so that N understands N-1.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

SCHEMA_LOWEST = 1
SCHEMA_HIGHEST = 1

CONTROLLER = "controller"
"""The name under which the controller grants leases and sends Orders."""

Name = Annotated[str, Meta(min_length=1, max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
NoName = Annotated[str, Meta(max_length=63, pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?)?$")]
"""A Name, or nothing."""
Uid = Annotated[str, Meta(max_length=64)]
Nonce = Annotated[str, Meta(max_length=80)]
Text = Annotated[str, Meta(max_length=2000)]
Natural = Annotated[int, Meta(ge=0, le=2**62)]


class Role(StrEnum):
    """What an engine is seen to be."""

    DOWN = "down"
    STARTING = "starting"
    STANDBY = "standby"
    PRIMARY = "primary"


class Mode(StrEnum):
    """By which right the primary may be writable."""

    NONE = "none"
    LEASED = "leased"
    ALONE = "alone"


class Goal(StrEnum):
    """What the controller wants a replica to be."""

    PRIMARY = "primary"
    DRAIN = "drain"
    BACKUP = "backup"


class Right(StrEnum):
    """The mode that an Order gives to the primary.

    ARMING: alone, until a grant of the new backup under this revision makes it leased.
    """

    LEASED = "leased"
    ALONE = "alone"
    ARMING = "arming"


class Header(Struct, frozen=True):
    """Who speaks, in which life, and which versions of the schema it understands."""

    cluster: Uid
    sender: Name
    boot_id: Uid
    incarnation: Uid
    sequence: Natural
    schema_lowest: Natural = SCHEMA_LOWEST
    schema_highest: Natural = SCHEMA_HIGHEST
    capabilities: tuple[Name, ...] = ()


class ReplicaReport(Struct, frozen=True, omit_defaults=True):
    """Where one replica stands. Every fact counts for `revision` only."""

    service: Name
    service_uid: Uid
    revision: Natural
    epoch: Natural
    role: Role
    mode: Mode = Mode.NONE
    system_identifier: Uid = ""
    timeline: Natural = 0
    writable: bool = False
    """It may write and it does: a probe was committed under its right."""
    position_bytes: Natural = 0
    """Primary: end of the committed log. Standby: end of the received log."""
    replayed_bytes: Natural = 0
    rate_bytes_s: Natural = 0
    streaming: bool = False
    lag_ms: Natural = 0
    sync_active: bool = False
    lease_left_ms: Natural = 0

    fenced: bool = False
    """A durable promise: not writable again before a higher revision."""
    released: bool = False
    """A durable promise made while draining: the lease is given back, the engine stopped."""
    resumed: bool = False
    """The drain was given up for good under this revision."""
    handover: bool = False
    """The engine is dead and a restart in place does not fit the budget."""
    illness: Text = ""
    """Commits fail for a reason that the backup shares."""

    stopped: bool = False
    """As a grantor: no grant will be given under this revision."""
    promise_left_ms: Natural = 0
    """As a grantor: how long what it granted may still be relied upon."""
    refused_revision: Natural = 0
    """As a grantor: the COUNTDOWN that it refused, for it still hears commits."""
    primary_heard: bool = False
    """As a grantor: a commit-proven renewal of the primary is fresh."""
    primary_illness: Text = ""
    primary_position_bytes: Natural = 0
    """As a grantor: the highest position that the primary proved to it; 0 when none."""
    primary_position_age_ms: Natural = 0
    primary_rate_bytes_s: Natural = 0
    log_taken: bool = False
    """As a backup: all that the fenced primary's log holds is here."""

    doing: Text = ""
    problem: Text = ""
    cannot_promise: bool = False
    """Nothing that it promises could be kept: its state directory cannot be written."""
    unfit: Text = ""
    """As a backup: what does not match its upstream, so that it is not trusted to take over."""
    renewal_gap_p999_ms: Natural = 0
    """p99.9 of the time between two extensions of its lease; 0 when too few were seen."""
    kill_p999_ms: Natural = 0
    """p99.9 of the time that ending its engine took; 0 when too few were seen."""
    quarantine: Text = ""
    """What this copy wrote as an old primary and nobody else has: figures, and where it is."""
    primary: NoName = ""
    """Whose reign the present epoch is, as its Orders say; empty before the first of them."""
    fences: Text = ""
    """The layers that end its right to write when the lease does, outermost last."""
    fence_missing: Text = ""
    """A layer that is required here and does not hold, so that it may not be a primary."""
    weakened: Text = ""
    """As a primary: settings of roles or databases by which commits do not wait for the backup."""
    cancelled_waits: Natural = 0
    """As a primary: commits of this life of the agent that stopped waiting for the backup."""
    disk_low: Text = ""
    """Why the disk of its data is too full to serve for long, with the figures."""
    disk_free_bytes: Natural = 0
    """What is free there; 0 when unknown."""
    veto: Text = ""
    """An operator of this host forbids any change of its role: who, and why."""
    veto_left_ms: Natural = 0
    start_nonce: Nonce = ""
    """Not empty while only an Order that echoes it may make this replica writable."""


class Path(Struct, frozen=True, omit_defaults=True):
    """What an agent's probes of one agent of another site found of late, by the asker's clock."""

    to: Name
    asked: Natural = 0
    lost: Natural = 0
    """Of those that were asked, how many got no answer in time."""
    round_trip_us: Natural = 0
    """The median of those that were answered; 0 when none was."""
    answer_age_ms: Natural = 0
    """How long ago the last answer came; since the first probe, where none ever came."""
    clock_ahead_ms: Annotated[int, Meta(ge=-(2**62), le=2**62)] = 0
    """Their wall clock minus ours: for people and alarms, nothing else is decided by it."""


class Symptom(Struct, frozen=True, omit_defaults=True):
    """Something at the agent's host or site that is not as it should be, as a check says."""

    kind: Name
    """`disk`, `latency`, `clock`, `certificate`, or whatever a site's own check is called."""
    text: Text
    age_ms: Natural = 0
    """For how long it is so."""


class Usage(Struct, frozen=True, omit_defaults=True):
    """What the agent's host really uses; 0 where it cannot be known."""

    millicores: Natural = 0
    memory_bytes: Natural = 0
    storage_bytes: Natural = 0
    connections: Natural = 0


class Report(Struct, frozen=True, tag="report", omit_defaults=True):
    """From an agent to the controller: all its replicas, and what it sees of the sites."""

    header: Header
    replicas: Annotated[tuple[ReplicaReport, ...], Meta(max_length=256)]
    probe_list: Uid = ""
    """Which list of probes it follows; empty before the first."""
    paths: Annotated[tuple[Path, ...], Meta(max_length=64)] = ()
    symptoms: Annotated[tuple[Symptom, ...], Meta(max_length=32)] = ()
    usage: Usage | None = None


class LeaseTerms(Struct, frozen=True, omit_defaults=True):
    """The numbers of a lease; config refuses those that break the safety rule."""

    ttl_ms: Natural
    renew_ms: Natural
    fence_budget_ms: Natural
    restart_budget_ms: Natural
    drain_budget_ms: Natural
    log_budget_ms: Natural = 0
    """How long a promotion may wait for the rest of the log of a fenced primary that is heard."""


class Partner(Struct, frozen=True):
    """How to reach the other replica's agent and its engine, and whom to believe."""

    agent: Name
    agent_address: Text
    """host:port of its HTTPS."""
    engine_address: Text
    """host:port of its engine."""
    public_key: Text
    """Ed25519, base64; its Grants are signed with it."""


class Assignment(Struct, frozen=True, omit_defaults=True):
    """What one replica shall be, under one revision of its service's record."""

    service: Name
    service_uid: Uid
    term: Natural
    revision: Natural
    epoch: Natural
    goal: Goal
    right: Right
    primary: Name
    grantors: tuple[Name, ...]
    grantor_set: Natural
    terms: LeaseTerms
    partner: Partner | None = None
    system_identifier: Uid = ""
    """Empty until the service has its first copy of the data."""
    may_grant: bool = False
    countdown: bool = False
    """No lease is extended any more: prove that you commit, or promise that you do not."""
    take_log: bool = False
    """Backup, in a countdown: the primary has promised not to write; take the rest of its log."""
    sync: bool = False
    create: bool = False
    """The service has no data anywhere yet: this replica makes it."""
    start_nonce: Nonce = ""
    """Echo of the Report's, given only by an Order built from a later read of the store."""
    moving: bool = False
    """Backup: its primary is being drained towards it by plan."""


class Probe(Struct, frozen=True):
    """An agent of another site that shall be asked once a second whether it is there."""

    agent: Name
    site: Name
    address: Text
    """host:port of its HTTPS."""


class Order(Struct, frozen=True, tag="order", omit_defaults=True):
    """From the controller to one agent: its assignments, and whom it shall probe. Signed."""

    header: Header
    audience: Name
    term: Natural
    store_generation: Uid
    assignments: Annotated[tuple[Assignment, ...], Meta(max_length=256)]
    probe_list: Uid = ""
    """Names `probes`; empty: this Order says nothing of them, go on with those you have."""
    probes: Annotated[tuple[Probe, ...], Meta(max_length=64)] = ()


class Ask(Struct, frozen=True, omit_defaults=True):
    """One holder's question for one lease."""

    service: Name
    service_uid: Uid
    epoch: Natural
    revision: Natural
    nonce: Nonce
    proven: bool
    """A probe row was committed for this very question."""
    position_bytes: Natural = 0
    rate_bytes_s: Natural = 0
    mode: Mode = Mode.NONE
    illness: Text = ""
    handover: bool = False
    """The holder wants no lease: its engine is dead and not soon back."""


class Renew(Struct, frozen=True, tag="renew"):
    """From a holder to a grantor: all the leases it asks for."""

    header: Header
    asks: Annotated[tuple[Ask, ...], Meta(max_length=256)]


class Granted(Struct, frozen=True, omit_defaults=True):
    """One answer. A question that is not granted is answered with `refusal`."""

    service: Name
    service_uid: Uid
    epoch: Natural
    revision: Natural
    nonce: Nonce
    grantor_set: Natural
    ttl_ms: Natural = 0
    """Zero when refused."""
    refusal: Text = ""
    received_bytes: Natural = 0
    """End of the log that the grantor's own copy has received; 0 for the controller."""


class Grant(Struct, frozen=True, tag="grant"):
    """From a grantor to the holder. Signed."""

    header: Header
    audience: Name
    grants: Annotated[tuple[Granted, ...], Meta(max_length=256)]


Message = Report | Order | Renew | Grant
