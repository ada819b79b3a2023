"""What an agent knows of one replica: what is durable, and what dies with the process."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from agents.core.observation import Observation
from protocol.messages import Assignment, Mode

NEVER_MS = -1_000_000_000


class Durable(Struct, frozen=True):
    """What must survive the agent. Written (fsync, atomic replace) before anything follows."""

    assignment: Assignment | None = None
    """The one with the highest revision; lower ones are ignored for ever."""
    mode: Mode = Mode.NONE
    """By which right this replica may be writable under that revision."""
    fenced_revision: int = 0
    """A promise: not writable again before a higher revision than this."""
    released_revision: int = 0
    """The drain of this revision ended with the lease given back ..."""
    resumed_revision: int = 0
    """... or was given up. Never both for one revision."""
    stopped_revision: int = 0
    """As a grantor: no grant under this revision."""
    reign_epoch: int = 0
    """The last epoch in which this copy was allowed to be writable."""
    diverged: bool = False
    """This copy was writable since it last followed another: it may hold what nobody else has."""
    ttl_ceiling_ms: int = 0
    """The longest lease that this replica ever granted."""
    adopted_standby: bool = False
    """It was taken over as a standby, while a primary that Saling does not run yet was writing:
    never writable before an Order has made it a backup."""


class Lease(Struct, frozen=True):
    """One grantor's lease, as the holder counts it."""

    grantor: str
    end_ms: int
    asked_ms: int = 0


class Rate(Struct, frozen=True):
    """How fast the log grew between two proofs."""

    bytes_s: int
    exact: bool
    """It stayed in one file: all that it grew by was written."""


class Question(Struct, frozen=True):
    """A lease that was asked for and not answered yet."""

    nonce: str
    grantor: str
    asked_ms: int


class JobKind(StrEnum):
    """What can be done to an engine that takes a while. One at a time a replica."""

    CREATE = "create"
    SEED = "seed"
    REJOIN = "rejoin"
    START_STANDBY = "start_standby"
    START_PRIMARY = "start_primary"
    PROMOTE = "promote"
    FOLLOW = "follow"
    DRAIN = "drain"
    SET_SYNC = "set_sync"
    TAKE_LOG = "take_log"


class Job(Struct, frozen=True):
    """A job under way."""

    kind: JobKind
    id: int
    begun_ms: int
    sync_with: str
    """Whose copy commits shall wait for when it is over."""
    revision: int
    """Under which it was begun."""


class Permit(StrEnum):
    """What the guard was last told that the engine may be."""

    CLOSED = "closed"
    LEASED = "leased"
    ALONE = "alone"


class Replica(Struct, frozen=True):
    """One replica of a service on this agent."""

    agent: str
    service: str
    service_uid: str
    life: str
    """This life of the agent; part of every nonce, so that none ever comes twice."""
    started_ms: int
    durable: Durable = Durable()
    disk_ok: bool = True
    """False while the durable state cannot be written: then nothing is granted."""

    observation: Observation = Observation()
    observed_ms: int = -1
    job: Job | None = None
    job_count: int = 0
    retry_after_ms: int = 0
    """No job is begun again before this, after one failed."""
    failures: int = 0
    """How many jobs of `failed_kind` failed in a row."""
    failed_kind: JobKind | None = None
    rejoins: int = 0
    """How many REJOINs ended well since this copy last streamed for a while."""
    rejoin_after_ms: int = 0
    """The next one is not begun before this, if nothing came of the last."""
    streams_since_ms: int = NEVER_MS
    problem: str = ""
    doing: str = ""

    fresh: bool = False
    """An Order of this start (or an engine that outlived the agent) allows it to be writable."""
    start_count: int = 0
    """Counts what makes a fresh Order necessary: starts and fences."""
    leases: tuple[Lease, ...] = ()
    questions: tuple[Question, ...] = ()
    nonce_count: int = 0
    guard_known: bool = False
    """Nothing is decided before the guard said what it allows."""
    permit: Permit = Permit.CLOSED
    permit_end_ms: int = 0
    closed_ms: int = 0
    """When the permit was last taken away."""

    probing: bool = False
    probe_begun_ms: int = NEVER_MS
    proven_ms: int = NEVER_MS
    proven_epoch: int = 0
    proven_position_bytes: int = 0
    rate_bytes_s: int = 0
    proven_log_file: str = ""
    rates: tuple[Rate, ...] = ()
    """The rates between the last proofs of this life, the newest last."""
    failed_probes: int = 0
    local_failures: int = 0
    illness: str = ""
    crashed_ms: int = -1
    """When the engine died in its own reign; -1 while it lives."""
    restarts: tuple[int, ...] = ()
    """When it was restarted in place, lately."""
    handover: bool = False
    drained_bytes: int = 0
    """Where the log ended when the drain stopped the engine; 0 before."""
    drain_begun_ms: int = -1
    partner_received_bytes: int = 0
    """As a holder: the end of the log at the backup, by its last answer."""

    promise_end_ms: int = 0
    """As a grantor: when the last lease that it gave has run out for certain."""
    heard_ms: int = NEVER_MS
    """As a grantor: when the primary last proved a commit."""
    heard_position_bytes: int = 0
    heard_rate_bytes_s: int = 0
    primary_illness: str = ""
    illness_heard_ms: int = NEVER_MS
    refused_revision: int = 0
    log_taken_revision: int = 0
    """As a backup: under this revision it took all that the fenced primary's log holds."""
    sync_with: str | None = None
    """Whose copy commits wait for; None when this life does not know yet."""
    sync_set_ms: int = 0
    sync_from_bytes: int = 0
    """From here on every acknowledged write waited for that copy; 0 while not known."""
    veto: str = ""
    """Who of this host forbids any change of its role, and why; empty when nobody does."""
    veto_end_ms: int = 0
    veto_asked: str = ""
    """The last veto that was asked for, taken or not ..."""
    veto_refusal: str = ""
    """... and why not."""
    said: tuple[object, ...] = ()
    """What the last report said that the controller must know at once."""
    fences: str = ""
    fence_lacks: str = ""
    """A required layer that does not hold, and the mend."""
    fence_least_ttl_ms: int = 0
    """Leases shorter than this are too short for a required layer."""
    quiet_until_ms: int = 0
    """No Tick before this finds anything to do; 0 while the last step left something."""

    @property
    def start_nonce(self) -> str:
        """What an Order must echo before this replica may be writable; empty when it may."""
        return "" if self.fresh else f"{self.life}.{self.start_count}"
