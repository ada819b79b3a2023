"""What the controller knows: the declared service, its stored record, and what was seen of it."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from controller.core.plan_model import MoveRules, Plan, PlanMemory
from controller.core.site_model import Load, Nation, Stage
from protocol.messages import LeaseTerms, Mode, ReplicaReport


class Phase(StrEnum):
    """Where a service stands in its state machine."""

    PROTECTED = "PROTECTED"
    ALONE = "ALONE"
    ARMING = "ARMING"
    DRAINING = "DRAINING"
    COUNTDOWN = "COUNTDOWN"
    PROMOTING = "PROMOTING"
    ROUTING = "ROUTING"
    HELD = "HELD"


class HeldFor(StrEnum):
    """What a HELD service waits for."""

    NOTHING = ""
    LOSS = "loss"
    ILLNESS = "illness"
    RESTORED = "restored"
    """An agent knows a later revision than the store: the store is an older copy."""
    ADOPTION = "adoption"
    """Both replicas must take the revision with which a restored store was accepted."""
    CAPACITY = "capacity"
    """The backup's site has no room for it: as for a loss, nobody writes meanwhile."""
    FORCED = "forced"
    """One person asks to move it by force; another one must say that the old host is off."""


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
    """Move the service in order, before the primary stops."""


class ReplicaSpec(Struct, frozen=True):
    """One declared copy."""

    agent: str
    site: str
    priority: int
    engine_address: str
    agent_address: str
    public_key: str
    stage: Stage = Stage.ACTIVE
    """That of its site."""


class ServiceSpec(Struct, frozen=True):
    """One declared service, as the rules need it."""

    name: str
    uid: str
    terms: LeaseTerms
    replicas: tuple[ReplicaSpec, ...]
    """In the order of their priority; the first is the primary of the first reign."""
    protection: Protection = Protection.ASYNC
    loss_bound_bytes: int = 16 * 1024 * 1024
    system_identifier: str = ""
    report_interval_ms: int = 500
    tier: str = "rendah"
    backup_loss: BackupLoss = BackupLoss.ALONE
    disk_filling: DiskFilling = DiskFilling.ALARM
    group: str = ""
    """Services of one group move together, those of a lower order first."""
    order: int = 0
    demand: Load = Load()
    """What it needs where it is primary."""

    def replica(self, agent: str) -> ReplicaSpec | None:
        """The copy that stands on this agent."""
        return next((r for r in self.replicas if r.agent == agent), None)


BY_ITSELF = "the controller"
"""Stands for a person where nobody asked for what is done."""


class Operation(Struct, frozen=True):
    """A chain of steps under way: a switchover or a failover."""

    id: str
    kind: str
    by: str
    reason: str = ""
    from_agent: str = ""
    to_agent: str = ""
    plan: str = ""
    """The plan that asked for it; empty where none did, and in records older than this field."""


class LastWord(Struct, frozen=True):
    """How far the primary was when it was last heard: what a loss is estimated from."""

    position_bytes: int
    rate_bytes_s: int
    exposed_ms: int
    """How long it may have gone on committing after that word, at most."""
    behind_ms: int = -1
    """How long before that word the backup had all that was committed until then, at the
    latest; -1 when unknown."""


class Approval(Struct, frozen=True):
    """An operator's leave to lose data, good for one epoch, one loss and one failover."""

    by: str
    epoch: int
    loss_bytes: int
    reason: str = ""
    loss_ms: int = -1
    """The same loss as a time of commits; -1 where none was named."""
    second: str = ""
    """Who else said the same, where it takes two people."""
    over_capacity: bool = False
    """Leave to come to a site that has no room for it; it bears no loss that it does not name."""


class Maintenance(Struct, frozen=True):
    """The announced absence of the backup: while it lasts the pair is not armed."""

    agent: str
    by: str
    reason: str
    for_ms: int
    spent_ms: int = 0
    """How much of the time was over when this was written; the rest is counted from then on."""
    away: bool = False
    """Whether the backup was seen to go away since."""


class Wait(Struct, frozen=True):
    """Commits wait for a backup that is lost."""

    had_bytes: int
    """How much of the log the backup is known to have had: with less it takes over nothing
    by itself."""


class Hold(Struct, frozen=True):
    """An integrity hold: nobody takes over while it lasts, for the data may be damaged."""

    by: str
    reason: str
    scope: str
    """What it was placed on: `service`, `site:NAME` or `all`."""
    for_ms: int
    spent_ms: int = 0
    """How much of the time was over when this was written; the rest is counted from then on."""


class Record(Struct, frozen=True):
    """The one record of a service. Every change is a new revision, swapped in the store."""

    service: str
    service_uid: str
    revision: int
    term: int
    phase: Phase
    epoch: int
    primary: str
    backup: str
    terms: LeaseTerms
    ttl_ceiling_ms: int
    """The longest lease that was ever granted for this service."""
    protection: Protection = Protection.ASYNC
    """As it is in force; the declared one becomes it by a change of its own."""
    grantor_set: int = 1
    system_identifier: str = ""
    because: str = ""
    held_for: HeldFor = HeldFor.NOTHING
    paused: str = ""
    """Not empty: who paused automatic failover, and why."""
    operation: Operation | None = None
    last_word: LastWord | None = None
    approval: Approval | None = None
    maintenance: Maintenance | None = None
    """Only in ALONE, and only of the backup."""
    blocks: bool = False
    """Commits wait for the backup whatever becomes of it: since the pair was armed with it, until
    a takeover, an announced maintenance or the configuration ends that."""
    wait: Wait | None = None
    """Only where it blocks, and while the backup is lost."""
    hold: Hold | None = None
    """In any phase but DRAINING."""
    hold_ran_out: bool = False
    """The last hold ended by its time, not by a person, and none was placed since."""
    backup_had_bytes: int = 0
    """How much of this epoch's log a sync backup had, at the least, when this was written: with
    less it takes over nothing by itself. 0 where nobody is leased and nobody may take over."""
    moved_by: str = ""
    """Who had the primary moved to where it is; empty where nobody did, or nobody knows."""
    primary_key: str = ""
    """The public key of the primary's agent, while it may hold leases that count; else empty, and
    in records older than this field until their next change."""
    backup_key: str = ""
    """The same of the backup's agent, under which its leases are given."""

    @property
    def mode(self) -> Mode:
        """By which right the primary may be writable, as the Orders of this phase give it."""
        if self.phase in LEASED_PHASES:
            return Mode.LEASED
        if self.phase is Phase.HELD and self.held_for is not HeldFor.ILLNESS:
            return Mode.LEASED
        return Mode.ALONE


LEASED_PHASES = (Phase.PROTECTED, Phase.DRAINING, Phase.COUNTDOWN)


class Mark(Struct, frozen=True):
    """Where the log of the primary ended when it was heard, at one moment."""

    position_bytes: int
    heard_ms: int


class Seen(Struct, frozen=True):
    """The newest report of one replica, and when it came."""

    report: ReplicaReport
    at_ms: int
    primary_bytes: int = -1
    """Of the backup: how far the primary was at the least at the moment that this tells of; -1
    when that is not known."""


class Word(Struct, frozen=True):
    """A position of the primary, and when it was heard."""

    position_bytes: int
    at_ms: int


class ServiceState(Struct, frozen=True):
    """One service: declared, stored, seen."""

    spec: ServiceSpec
    record: Record
    entered_ms: int
    """When this life of the controller saw the phase begin."""
    reports: dict[str, Seen]
    proven_ms: int
    """When the primary last proved a commit here; when this life began, if it never did."""
    proven_once: bool
    """Whether it proved a commit to this life of the controller, in this epoch."""
    proven_position_bytes: int
    proven_rate_bytes_s: int
    promise_end_ms: int
    """When the last lease that this controller granted has run out for certain. A new life
    counts as having granted at its first moment."""
    backup_promise_end_ms: int
    """When the last lease that the backup reported to have granted has run out for certain."""
    reign_proven_ms: int
    """When the primary before this one last proved a commit here; -1 when unknown."""
    ailing_since_ms: int
    """Since when the backup is not seen to follow; -1 while it does."""
    following_since_ms: int
    """Since when the backup is seen to follow closely; -1 while it does not."""
    fenced_since_ms: int
    """When the primary was first seen fenced under the present revision; -1 before."""
    heard_revision: int
    """The highest revision that any agent named."""
    ordered_ms: int
    """When the replicas were last told their assignments."""
    echoes: dict[str, str]
    """Start nonces that an Order may echo: the store was read after their Report."""
    maintenance_ms: int = 0
    """When this life took up the record's maintenance, or last wrote down its time."""
    backup_proven_bytes: int = 0
    """How much of the log a sync backup was seen to have, at most, in this epoch and life."""
    waits_since_ms: int = 0
    """When this life took up the record's wait."""
    drain_given_up_ms: int = -1
    """When this life last saw a drain being given up; -1 if it never did."""
    proven_revision: int = 0
    """Under which revision the primary last proved a commit here."""
    hold_ms: int = 0
    """When this life took up the record's hold, or last wrote down its time."""
    approved_ms: int = -1
    """When the record's approval was given; -1 when another life of the controller took it."""
    marks: tuple[Mark, ...] = ()
    """Some positions of the primary that the backup has not reached yet, the oldest first."""
    primary_heard_ms: int = -1
    """When the primary's agent last said anything at all; -1 when it never did."""
    caught_up_ms: int = -1
    """The backup has all that was committed before this; -1 when not known."""
    heard_positions: tuple[Word, ...] = ()
    """The last positions of the primary in this epoch that anybody told, the oldest first."""
    declared_ms: int = -1
    """When the configuration last declared it otherwise; -1 when not in this life."""


class State(Struct, frozen=True):
    """All that the controller's rules know."""

    term: int
    generation: str
    services: dict[str, ServiceState]
    """By uid."""
    nation: Nation = Nation()
    plan: Plan | None = None
    """The one plan that is not done or given up yet, if there is one."""
    plan_memory: PlanMemory = PlanMemory()
    move_rules: MoveRules = MoveRules()


class Transition(Struct, frozen=True):
    """One line of a service's history."""

    service: str
    service_uid: str
    revision: int
    term: int
    epoch: int
    from_phase: str
    to_phase: str
    because: str
    primary: str
    backup: str
    operation: Operation | None = None
    outcome: str = ""
    """Set where an operation ends: done or given up."""
    outage_ms: int = -1
    """Between the last commit proved by the old primary and the first by the new one."""
    loss_bytes: int = -1
    by: str = ""
    """Which operator asked for this very change; empty when none did."""
    reason: str = ""
