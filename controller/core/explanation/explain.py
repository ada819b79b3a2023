"""Why a service stands where it stands, and what would have to happen for anything else.

Made from the table of phases itself: the rows that lead out of the present phase, and for
each of their conditions whether it holds now.
"""

from __future__ import annotations

from msgspec import Struct

from config.timeliness import late_renewals, slow_fence
from controller.core.conditions import block
from controller.core.conditions import hold as h
from controller.core.conditions import stage as s
from controller.core.conditions import veto as v
from controller.core.conditions.condition import ASKED_FOR
from controller.core.conditions.pair import primary_acknowledged_alone, primary_proves
from controller.core.explanation.advice import advice
from controller.core.gates import holds, maintenance
from controller.core.model import HeldFor, Phase, Record, ServiceState
from controller.core.moment.others import NOBODY, Others
from controller.core.moment.view import View
from controller.core.phases import ROWS_FROM
from controller.core.rows.row import Row
from controller.core.site_model import Stage
from protocol.messages import ReplicaReport
from protocol.windows import grantor_window_ms, holder_window_ms, silence_ms

PREMISES = (
    "on_hold",
    "is_waiting",
    "held_in_countdown",
    *(f"{no}held_for_{reason.value}" for no in ("", "not_") for reason in HeldFor),
)
"""Conditions without which a row, and what its sentences take for given, is not about this case."""

PROMOTION_GUESS_MS = 1000
ASKED = frozenset(ASKED_FOR.values())
"""What an engine's promotion and the way of one Order are taken to need, for a prediction."""


class Clause(Struct, frozen=True):
    """One condition of a row, as it stands now."""

    holds: bool
    text: str


class Way(Struct, frozen=True):
    """One row out of the present phase."""

    name: str
    target: str
    needs_operator: bool
    clauses: tuple[Clause, ...]


class CopyView(Struct, frozen=True):
    """One replica as it is known."""

    agent: str
    site: str
    heard_ago_ms: int
    """-1 when it was never heard by this life of the controller."""
    report: ReplicaReport | None


class MaintenanceView(Struct, frozen=True):
    """The announced absence of the backup, as it stands now."""

    agent: str
    by: str
    reason: str
    for_ms: int
    left_ms: int
    """Negative once it is overdue."""
    away: bool
    """Whether the backup was seen to go away."""
    may_stop: bool
    """The primary knows that it stands alone: the backup may be stopped now."""
    as_announced: bool
    """Nothing else is the matter: the time is not over, and the primary commits."""


class HoldView(Struct, frozen=True):
    """An integrity hold, as it stands now."""

    by: str
    reason: str
    scope: str
    for_ms: int
    left_ms: int


class ApprovalView(Struct, frozen=True):
    """The leave to lose data that was given, as it stands now."""

    by: str
    reason: str
    epoch: int
    loss_bytes: int
    loss_ms: int
    second: str
    """Who else said the same; empty where nobody did, or need."""
    waits: bool
    """A second, different person must say the same."""
    left_ms: int
    """For how long it is still good."""


class Explanation(Struct, frozen=True):
    """Everything about one service that an engineer wants at 3 a.m."""

    service: str
    service_uid: str
    phase: str
    because: str
    epoch: int
    revision: int
    primary: str
    backup: str
    protected: bool
    paused: str
    held_for: str
    operation: str
    tier: str
    protection: str
    loss_bytes: int | None
    """What an unplanned failover would lose now, as estimated; None when unknown."""
    loss_bound_bytes: int
    lag_bytes: int | None
    lease_left_ms: int
    lease_ttl_ms: int
    proven_ago_ms: int
    predicted_failover_ms: int
    """From the last proof of the primary to the first commit of the backup, at the latest."""
    predicted_switchover_ms: int
    copies: tuple[CopyView, ...]
    ways: tuple[Way, ...]
    advice: str
    warnings: tuple[str, ...] = ()
    """What works and may not do so in time, each with its mend."""
    maintenance: MaintenanceView | None = None
    backup_loss: str = ""
    """Of a sync service: `alone` or `block`, as it is in force; empty for an async one."""
    commits_wait_ms: int = -1
    """For how long, at least, commits have waited for a lost backup; -1 while none does."""
    weakened: str = ""
    """Of a sync service: settings by which some commits at the primary wait for no backup."""
    cancelled_waits: int = 0
    """Commits that stopped waiting for the backup, in the present life of the primary's agent."""
    hold: HoldView | None = None
    readiness: str = ""
    """Why its people should stand ready: what keeps it from being moved, or asks for care where it
    stands. Empty when nothing."""
    loss_ms: int | None = None
    """The same loss as a time: between the last commit that the backup has for certain and the
    last that the primary may have made; None when unknown."""
    approval: ApprovalView | None = None
    out_of_use: str = ""
    """`batam is planned`: the backup stands in a site that is not active."""
    as_planned: bool = False
    """Only that the backup's site is planned keeps it from being protected: the primary commits."""
    drilled: bool = True
    """False where drills of its sites are scheduled, and one is overdue or the last one failed.
    That its backup may take over is then known from reports, and not tried in time."""
    not_drilled: str = ""
    """Why; empty where it is drilled, or no drill is scheduled."""


def explain(
    service: ServiceState,
    now_ms: int,
    care: tuple[str, ...] = (),
    others: Others = NOBODY,
) -> Explanation:
    """Explain one service beside the others; `care` says what is to be taken care of around it."""
    view = View(service, now_ms, others=others)
    record, spec, primary = service.record, service.spec, view.primary
    return Explanation(
        service=record.service,
        service_uid=record.service_uid,
        phase=record.phase.value,
        because=record.because,
        epoch=record.epoch,
        revision=record.revision,
        primary=record.primary,
        backup=record.backup,
        protected=protected(service, now_ms),
        paused=record.paused,
        held_for=record.held_for.value,
        operation=record.operation.id if record.operation else "",
        tier=spec.tier,
        protection=record.protection.value,
        loss_bytes=view.loss_bytes,
        loss_bound_bytes=view.bound_bytes,
        lag_bytes=view.lag_bytes,
        lease_left_ms=primary.lease_left_ms if primary else 0,
        lease_ttl_ms=record.terms.ttl_ms,
        proven_ago_ms=view.silence_ms if service.proven_once else -1,
        predicted_failover_ms=predicted_failover_ms(record),
        predicted_switchover_ms=PROMOTION_GUESS_MS,
        copies=tuple(_copy(service, agent.agent, agent.site, now_ms) for agent in spec.replicas),
        ways=tuple(_way(row, view) for row in ROWS_FROM[record.phase] if _concerns(row, view)),
        advice=advice(view),
        warnings=_warnings(view),
        maintenance=_maintenance(view),
        backup_loss=block.in_force(view),
        commits_wait_ms=view.now_ms - service.waits_since_ms if record.wait else -1,
        weakened=block.weakened(view),
        cancelled_waits=primary.cancelled_waits if primary else 0,
        hold=_hold(view),
        readiness=_readiness(view, care),
        loss_ms=view.loss_ms,
        approval=_approval(view),
        out_of_use=s.why_not(view),
        as_planned=s.backup_stage(view) is Stage.PLANNED and primary_proves(view),
    )


def predicted_failover_ms(record: Record) -> int:
    """From the last proof of the primary to the first commit of the backup, at the latest."""
    return grantor_window_ms(record.terms.ttl_ms) + record.terms.renew_ms + PROMOTION_GUESS_MS


def _warnings(view: View) -> tuple[str, ...]:
    """By what the agents that are heard have measured."""
    terms, texts = view.record.terms, []
    if view.primary is not None:
        gap_ms = view.primary.renewal_gap_p999_ms
        texts.append(late_renewals(view.record.primary, gap_ms, terms))
    for agent, told in ((view.record.primary, view.primary), (view.record.backup, view.backup)):
        if told is not None:
            texts.append(slow_fence(agent, told.kill_p999_ms, terms))
            texts.append(f"the disk of {agent} is low: {told.disk_low}" if told.disk_low else "")
            lacks = told.fence_missing
            texts.append(f"{agent} lacks a layer of its fence: {lacks}" if lacks else "")
    if site := s.to_be_left(view):
        texts.append(
            f"{view.record.primary} stands in {site}, which is suspended: `saling evacuate {site}` "
            "moves what is primary there"
        )
    return tuple(filter(None, (*texts, *block.warnings(view))))


def protected(service: ServiceState, now_ms: int) -> bool:
    """Whether the backup may take over. What the record says counts while both are heard."""
    view = View(service, now_ms)
    heard = primary_proves(view) and view.backup is not None and v.backup_willing(view)
    heard = heard and s.backup_in_use(view)
    able = heard and view.record.wait is None and not block.could_not_take_over(view)
    return view.record.phase is Phase.PROTECTED and able


def _maintenance(view: View) -> MaintenanceView | None:
    announced = view.record.maintenance
    if announced is None:
        return None
    left_ms = maintenance.left_ms(view.service, view.now_ms)
    return MaintenanceView(
        agent=announced.agent,
        by=announced.by,
        reason=announced.reason,
        for_ms=announced.for_ms,
        left_ms=left_ms,
        away=announced.away,
        may_stop=primary_acknowledged_alone(view),
        as_announced=left_ms > 0 and primary_proves(view),
    )


def _hold(view: View) -> HoldView | None:
    hold = view.record.hold
    if hold is None:
        return None
    left_ms = holds.left_ms(view.service, view.now_ms)
    return HoldView(hold.by, hold.reason, hold.scope, hold.for_ms, left_ms)


def _readiness(view: View, care: tuple[str, ...]) -> str:
    """Alarms go on meanwhile: unlike a maintenance, neither a hold nor a veto silences any."""
    why = (h.on_hold, v.primary_vetoes, v.backup_vetoes)
    told = (condition.sentence(view) for condition in why if condition(view))
    return "; ".join((*told, *care))


def _approval(view: View) -> ApprovalView | None:
    noted = view.record.approval
    if noted is None:
        return None
    return ApprovalView(
        by=noted.by,
        reason=noted.reason,
        epoch=noted.epoch,
        loss_bytes=noted.loss_bytes,
        loss_ms=noted.loss_ms,
        second=noted.second,
        waits=view.two_people and not noted.second,
        left_ms=view.approval_left_ms,
    )


def _copy(service: ServiceState, agent: str, site: str, now_ms: int) -> CopyView:
    seen = service.reports.get(agent)
    if seen is None:
        return CopyView(agent, site, -1, None)
    return CopyView(agent, site, now_ms - seen.at_ms, seen.report)


def _concerns(row: Row, view: View) -> bool:
    """Whether the row is about how it stands: not about a hold that is not on, say."""
    return all(x(view) for x in row.when if x.name in PREMISES)


def _way(row: Row, view: View) -> Way:
    clauses = tuple(Clause(x(view), x.sentence(view)) for x in row.when)
    return Way(row.name, row.target.value, not ASKED.isdisjoint(row.asks), clauses)


def timing(service: ServiceState) -> dict[str, int]:
    """The lease's numbers that decide how fast a failover is, in milliseconds."""
    terms = service.record.terms
    return {
        "ttl_ms": terms.ttl_ms,
        "renew_ms": terms.renew_ms,
        "silent_after_ms": silence_ms(terms),
        "holder_window_ms": holder_window_ms(terms.ttl_ms),
        "grantor_window_ms": grantor_window_ms(terms.ttl_ms),
        "fence_budget_ms": terms.fence_budget_ms,
    }
