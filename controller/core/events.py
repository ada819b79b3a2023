"""What the controller's rules are told."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from controller.core.model import Record
from protocol.messages import Renew, Report


class Tick(Struct, frozen=True, tag="tick"):
    """Time went by."""


class ReportCame(Struct, frozen=True, tag="report"):
    """An agent said where its replicas stand."""

    report: Report


class RenewCame(Struct, frozen=True, tag="renew"):
    """A holder asked this controller for leases."""

    renew: Renew


class RecordRead(Struct, frozen=True, tag="record_read"):
    """A read of the store that was begun after an agent's Report with this start nonce."""

    record: Record
    agent: str
    start_nonce: str


class Kind(StrEnum):
    """What an operator may ask for."""

    SWITCHOVER = "switchover"
    FAILOVER = "failover"
    APPROVE = "approve"
    PAUSE = "pause"
    RESUME = "resume"
    BEGIN_MAINTENANCE = "maintenance-begin"
    END_MAINTENANCE = "maintenance-end"
    FORCE = "force"
    PROVE = "force-proof"
    END_FORCE = "force-end"
    HOLD = "hold"
    RELEASE = "release"


class Requested(Struct, frozen=True, tag="requested"):
    """An operator asks for something. `id` names the request and what becomes of it."""

    id: str
    kind: Kind
    service_uid: str
    by: str
    reason: str = ""
    epoch: int = 0
    """Approve: the epoch that the approval is for."""
    loss_bytes: int = -1
    """Approve: the loss that is accepted."""
    loss_ms: int = -1
    """Approve: the same loss as a time of commits."""
    agent: str = ""
    """Begin a maintenance: whose absence is announced; the backup's where it is empty."""
    for_ms: int = 0
    """Begin a maintenance, hold: for how long."""
    dry_run: bool = False
    proof: str = ""
    """Prove: how it is known that the old primary's host is off, looked at after the force."""
    over_capacity: bool = False
    """Switchover, approve: also where the site has no room for it."""
    scope: str = ""
    """Hold: what it is placed on as a whole: `service`, `site:NAME` or `all`."""


Event = Tick | ReportCame | RenewCame | RecordRead | Requested
