"""What the controller's rules are told."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from controller.core.model import Record, ServiceSpec
from controller.core.plan_model import MoveRules, PlanKind
from controller.core.site_model import Caution, Nation
from protocol.messages import Renew, Report


class Tick(Struct, frozen=True, tag="tick"):
    """Time went by."""

    at_ms: int = 0
    """Wall time, for people; nothing is decided by it."""


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
    despite_caution: bool = False
    """Switchover: also to a site where caution is on."""
    plan: str = ""
    """The plan that asks for it; empty where a person does."""


class Configured(Struct, frozen=True, tag="configured"):
    """The configuration was read anew: it is taken whole, or refused whole."""

    id: str
    specs: tuple[ServiceSpec, ...]
    """All that are declared and not retired, in the order of the file."""
    nation: Nation
    """As declared; what was heard of it is known already."""
    stored: dict[str, Record] = {}
    """What the store holds of services that are new here, by uid."""
    retired: tuple[str, ...] = ()
    """Uids of the services that the file calls retired."""
    move_rules: MoveRules = MoveRules()
    dry_run: bool = False
    file: str = ""
    by: str = ""
    reason: str = ""
    told: str = ""
    """What it changes, in sentences for the history; empty where it changes nothing."""


class PlanAct(StrEnum):
    """What may be asked of a plan."""

    BEGIN = "begin"
    PAUSE = "pause"
    RESUME = "resume"
    END = "end"


class PlanAsked(Struct, frozen=True, tag="plan_asked"):
    """An operator asks for a plan, or for something of the one under way."""

    id: str
    act: PlanAct
    by: str
    reason: str = ""
    kind: PlanKind = PlanKind.EVACUATE
    """Begin: which."""
    site: str = ""
    """Begin: of which site."""
    now: bool = False
    """Begin a failback: even within the dwell time."""
    despite_caution: bool = False
    """Begin: also to a site where caution is on."""
    over_capacity: bool = False
    """Begin: also where a site has no room for it."""
    at_once: int = 0
    """Begin: how many groups at the same time; 0 for as many as configured."""
    plan_id: str = ""
    """Pause, resume, end: only if it is this one."""
    at_ms: int = 0
    """Wall time, for people."""
    dry_run: bool = False


class Cautioned(Struct, frozen=True, tag="cautioned"):
    """A feed or a person says that care is to be taken."""

    cautions: tuple[Caution, ...]
    at_ms: int
    """Wall time: how much of each is over, for they are counted from what happened."""
    id: str = ""
    """Of the request, where somebody waits for an answer."""


class CautionEnded(Struct, frozen=True, tag="caution_ended"):
    """A person ends cautions of a site before their time."""

    id: str
    site: str
    by: str
    reason: str = ""
    caution: str = ""
    """The id of one; all of the site where it is empty."""
    now: str = ""
    """What is so now, where that is why; else what was said at the beginning is told again."""


Ask = Requested | PlanAsked | Cautioned | CautionEnded | Configured
"""What is answered."""

Event = Tick | ReportCame | RenewCame | RecordRead | Ask
