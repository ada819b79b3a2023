"""What an agent's rules want done, in this order: persist first, then act, then speak."""

from __future__ import annotations

from msgspec import Struct

from agents.core.model import Durable, JobKind
from protocol.messages import Ask, Granted, Partner, ReplicaReport


class Persist(Struct, frozen=True, tag="persist"):
    """Write the durable state. When it fails, drop the step: its state and later actions."""

    durable: Durable


class PermitLease(Struct, frozen=True, tag="permit_lease"):
    """Tell the guard that the engine may be writable until this moment."""

    end_ms: int
    lease_end_ms: int = 0
    """When the lease itself ends; the fence has the time between the two."""
    asked_ms: int = 0
    """When it was asked for: a clock that jumped since then counts against it."""
    ttl_ms: int = 0


class PermitAlone(Struct, frozen=True, tag="permit_alone"):
    """Tell the guard that the engine may be writable without an end."""


class ClosePermit(Struct, frozen=True, tag="close_permit"):
    """The fence: the guard ends a writable engine and allows none until it is told otherwise.

    Done only when no process of such an engine is left: the next step relies on it.
    """


class EndEngine(Struct, frozen=True, tag="end_engine"):
    """End an engine that is primary without a right: somebody promoted it past the guard."""


class BeginJob(Struct, frozen=True, tag="begin_job"):
    """Do something to the engine, and come back with JobEnded."""

    id: int
    kind: JobKind
    upstream: Partner | None = None
    """PROMOTE: the partner whose copy will follow; else whom to follow or copy."""
    system_identifier: str = ""
    sync_with: str = ""
    """SET_SYNC and START_PRIMARY, PROMOTE: the agent whose copy commits wait for; empty: none."""
    revision: int = 0
    limit_ms: int = 0
    """TAKE_LOG: under which revision the upstream is fenced, and how long this may take."""


class BeginProbe(Struct, frozen=True, tag="begin_probe"):
    """Try to commit one row locally, and come back with Probed."""

    timeout_ms: int


class SendAsk(Struct, frozen=True, tag="send_ask"):
    """Ask a grantor for a lease."""

    grantor: str
    ask: Ask
    partner: Partner | None
    """How to reach it, unless it is the controller."""


class AnswerAsk(Struct, frozen=True, tag="answer_ask"):
    """Answer a holder."""

    question: str
    granted: Granted


class SendReport(Struct, frozen=True, tag="send_report"):
    """Something changed that the controller should know at once."""

    report: ReplicaReport


Action = (
    Persist
    | PermitLease
    | PermitAlone
    | ClosePermit
    | EndEngine
    | BeginJob
    | BeginProbe
    | SendAsk
    | AnswerAsk
    | SendReport
)
