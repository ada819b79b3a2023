"""What an agent's rules are told. Each event is about one replica."""

from __future__ import annotations

from msgspec import Struct

from agents.core.model import JobKind, Permit
from agents.core.observation import Observation, Probe
from protocol.messages import Ask, Assignment, Granted


class Tick(Struct, frozen=True, tag="tick"):
    """Time went by."""


class OrderCame(Struct, frozen=True, tag="order"):
    """The controller assigns something."""

    assignment: Assignment


class GrantCame(Struct, frozen=True, tag="grant"):
    """A grantor answered a question of this holder."""

    grantor: str
    granted: Granted


class AskCame(Struct, frozen=True, tag="ask"):
    """A holder asks this replica for a lease. `question` names the answer it waits for."""

    question: str
    agent: str
    ask: Ask


class Observed(Struct, frozen=True, tag="observed"):
    """A look at the engine."""

    observation: Observation


class Probed(Struct, frozen=True, tag="probed"):
    """An attempt to commit ended."""

    probe: Probe


class EngineExited(Struct, frozen=True, tag="engine_exited"):
    """The guard says that no process of the engine is left."""

    reason: str
    fenced: bool
    """The guard ended it, for the deadline had come."""


class GuardState(Struct, frozen=True, tag="guard_state"):
    """What the guard said when this life of the agent first reached it."""

    permit: Permit
    permit_end_ms: int
    engine_runs: bool
    writable: bool


class VetoAsked(Struct, frozen=True, tag="veto_asked"):
    """An operator of this host forbids any change of its role until then."""

    id: str
    """By which the shell finds whether it was taken."""
    text: str
    """Who, and why."""
    end_ms: int


class VetoEnded(Struct, frozen=True, tag="veto_ended"):
    """The veto was released, or another replica of this host could not take it."""


class VetoPutBack(Struct, frozen=True, tag="veto_put_back"):
    """Another veto was not taken by all: the one in force goes on as it was, without a check."""

    text: str
    end_ms: int


VetoEvent = VetoAsked | VetoEnded | VetoPutBack


class FencesTold(Struct, frozen=True, tag="fences_told"):
    """How the layers of the fence stand, by the guard's word."""

    fences: str
    missing: str
    """Which of those that are required do not hold, and the mend; empty when all do."""
    least_ttl_ms: int
    """Leases shorter than this are too short for what is required."""


class JobEnded(Struct, frozen=True, tag="job_ended"):
    """A job is over."""

    id: int
    kind: JobKind
    error: str = ""
    position_bytes: int = 0
    """Drain: where the log ended."""


class JobTold(Struct, frozen=True, tag="job_told"):
    """A job says how far it is."""

    id: int
    text: str


class PersistFailed(Struct, frozen=True, tag="persist_failed"):
    """The durable state could not be written; the step that wanted it did not happen."""

    reason: str


class PersistWorks(Struct, frozen=True, tag="persist_works"):
    """The durable state can be written again."""


Event = (
    Tick
    | OrderCame
    | GrantCame
    | AskCame
    | Observed
    | Probed
    | EngineExited
    | GuardState
    | FencesTold
    | VetoAsked
    | VetoEnded
    | VetoPutBack
    | JobEnded
    | JobTold
    | PersistFailed
    | PersistWorks
)
