"""Why a service stands where it stands, and what would have to happen for anything else.

Made from the table of phases itself: the rows that lead out of the present phase, and for
each of their conditions whether it holds now.
"""

from __future__ import annotations

from msgspec import Struct

from config.timeliness import late_renewals, slow_fence
from controller.core import approvals, holds, maintenance
from controller.core import hold_conditions as h
from controller.core import veto_conditions as v
from controller.core.conditions import primary_acknowledged_alone, primary_proves
from controller.core.disk_conditions import primary_disk_low
from controller.core.events import Kind
from controller.core.facts import facts
from controller.core.model import HeldFor, Phase, ServiceState
from controller.core.phases import ROWS_FROM
from controller.core.refusal import doing
from controller.core.row import Row
from controller.core.view import View, cannot_take_over
from protocol.messages import ReplicaReport
from protocol.windows import grantor_window_ms, holder_window_ms, silence_ms

PROMOTION_GUESS_MS = 1000
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
    hold: HoldView | None = None
    readiness: str = ""
    """Why its people should stand ready: what keeps it from being moved. Empty when nothing."""
    loss_ms: int | None = None
    """The same loss as a time: between the last commit that the backup has for certain and the
    last that the primary may have made; None when unknown."""
    approval: ApprovalView | None = None


def explain(service: ServiceState, now_ms: int) -> Explanation:
    """Explain one service."""
    view = View(service, now_ms)
    record, spec = service.record, service.spec
    primary = view.primary
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
        loss_bound_bytes=spec.loss_bound_bytes,
        lag_bytes=view.lag_bytes,
        lease_left_ms=primary.lease_left_ms if primary else 0,
        lease_ttl_ms=record.terms.ttl_ms,
        proven_ago_ms=view.silence_ms if service.proven_once else -1,
        predicted_failover_ms=grantor_window_ms(record.terms.ttl_ms)
        + record.terms.renew_ms
        + PROMOTION_GUESS_MS,
        predicted_switchover_ms=PROMOTION_GUESS_MS,
        copies=tuple(_copy(service, agent.agent, agent.site, now_ms) for agent in spec.replicas),
        ways=tuple(_way(row, view) for row in ROWS_FROM[record.phase]),
        advice=_advice(view),
        warnings=_warnings(view),
        maintenance=_maintenance(view),
        hold=_hold(view),
        readiness=_readiness(view),
        loss_ms=view.loss_ms,
        approval=_approval(view),
    )


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
    return tuple(filter(None, texts))


def protected(service: ServiceState, now_ms: int) -> bool:
    """Whether the backup may take over. What the record says counts while both are heard."""
    view = View(service, now_ms)
    heard = primary_proves(view) and view.backup is not None
    return view.record.phase is Phase.PROTECTED and heard


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


def _readiness(view: View) -> str:
    """Alarms go on meanwhile: unlike a maintenance, neither a hold nor a veto silences any."""
    why = (h.on_hold, v.primary_vetoes, v.backup_vetoes)
    return "; ".join(condition.sentence(view) for condition in why if condition(view))


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


def _way(row: Row, view: View) -> Way:
    clauses = tuple(Clause(x(view), x.sentence(view)) for x in row.when)
    asks = any(x.name == f"asked_for_{kind.value}" for x in row.when for kind in Kind)
    return Way(row.name, row.target.value, asks, clauses)


ADVICE = {
    Phase.PROTECTED: "Nothing to do. If {primary} falls silent, {backup} takes over.",
    Phase.ALONE: "{primary} writes, but nobody could take over: see to {backup} ({backup_doing}).",
    Phase.ARMING: "{primary} writes; it is about to take a lease from {backup}.",
    Phase.DRAINING: "A planned move is under way; it goes on or back by itself.",
    Phase.COUNTDOWN: "The lease of {primary} runs out; then {backup} takes over by itself.",
    Phase.PROMOTING: "{primary} is becoming primary; if it cannot, mend its engine: there is no "
    "way back.",
    Phase.ROUTING: "Traffic is moving to {primary}.",
}
PAUSED_ADVICE = (
    "Automatic failover is paused ({paused}): if {primary} falls silent, nothing is moved until "
    "`saling resume {service}` or `saling failover {service}`."
)
UNFIT_ADVICE = (
    "If {primary} falls silent, {backup} takes over all the same, but it is not fit: {unfit}. Mend "
    "this first; until then no switchover is done."
)
FILLING_ADVICE = (
    "The disk of {primary} fills ({primary_disk}): free space there, or move the service before it "
    "stops: `saling switchover {service}` (its policy is `disk_filling: {disk_filling}`)."
)
FORGETFUL_ADVICE = (
    "{backup} cannot take over, for {cannot_take_over}. Once that is mended it goes on by itself "
    "({backup_doing})."
)
SILENT_ADVICE = (
    "{primary} has proved no commit for {silence}: its lease runs out, or has, and then nobody "
    "writes. {paused_advice}"
)
UNKNOWN_ADVICE = (
    "The controller hears too little to know how it stands now: look at the brokers and the "
    "agents. The replicas go on by their leases, but nothing can be ordered."
)
UNHEARD_ADVICE = (
    "{primary} is not heard, and nobody may take over: bring its site back. It is not known "
    "whether it writes."
)
DEAD_ADVICE = (
    "The agent {primary} is heard, but its engine proves no commit ({primary_doing}): mend it "
    "there. Nobody else has all that was committed, so nobody else may take over."
)
VETO_ADVICE = (
    "{backup} follows, and may not take over before an operator of its host allows it: "
    "`saling-agent release` there."
)
MAINTENANCE_ADVICE = (
    "{backup} is in maintenance, {maintenance_left}: nobody could take over meanwhile. The pair is "
    "armed again by itself when {backup} is back; `saling maintenance end --service {service}` "
    "ends it before."
)
OVERDUE_ADVICE = (
    "The maintenance of {backup} is {maintenance_left}: bring {backup} back ({backup_doing}), or "
    "announce more time: `saling maintenance begin --service {service} --for TIME --reason TEXT`."
)
ON_HOLD_ADVICE = (
    "An integrity hold is on ({hold_by}; {hold_left}): find out whether the data of {primary} are "
    "sound, then end it with `saling release {service}`. Until then nobody takes over."
)
HELD_ADVICE = {
    "loss": "Bring {primary} back, or accept the loss: `saling approve {service} --epoch {epoch} "
    "--loss-bytes {loss_bytes} --loss-seconds {loss_seconds} --reason TEXT`{more_people}.",
    "illness": "Mend the cause at {primary} ({illness}); it goes on by itself.",
    "restored": "Bring back the newer store, or accept what the agents know: `saling approve "
    "{service} --epoch {epoch} --reason TEXT`.",
    "adoption": "Both agents must be heard; it goes on by itself.",
}


def _advice(view: View) -> str:
    record = view.record
    text = HELD_ADVICE[record.held_for] if record.phase is Phase.HELD else ADVICE[record.phase]
    if record.phase is Phase.PROTECTED and view.backup and view.unfit:
        text = UNFIT_ADVICE
    if record.phase is Phase.PROTECTED and primary_disk_low(view):
        text = FILLING_ADVICE
    if record.phase is Phase.PROTECTED and record.paused:
        text = PAUSED_ADVICE
    awaited = record.phase in (Phase.PROTECTED, Phase.COUNTDOWN)
    if record.phase is Phase.PROTECTED and not primary_proves(view):
        text = _silent_advice(view)
    if awaited and view.backup and cannot_take_over(view.backup):
        text = FORGETFUL_ADVICE
    stays = record.phase in (Phase.PROTECTED, Phase.COUNTDOWN) or record.held_for is HeldFor.LOSS
    if record.hold is not None and stays and text is not UNKNOWN_ADVICE:
        text = ON_HOLD_ADVICE
    if record.phase in (Phase.ALONE, Phase.ARMING) and v.backup_vetoes(view):
        text = VETO_ADVICE
    if record.maintenance is not None:
        text = OVERDUE_ADVICE if maintenance.time_is_over(view) else MAINTENANCE_ADVICE
    ill = record.held_for is HeldFor.ILLNESS
    if (record.phase in (Phase.ALONE, Phase.ARMING) or ill) and view.primary is None:
        text = UNHEARD_ADVICE
    elif record.phase in (Phase.ALONE, Phase.ARMING) and not primary_proves(view):
        text = DEAD_ADVICE
    loss = view.loss_bytes
    return text.format(
        **facts(view),
        loss_bytes=0 if loss is None else loss,
        loss_seconds=approvals.whole_seconds(view.loss_ms),
        more_people=_more_people(view),
        primary_doing=doing(view.primary),
        disk_filling=view.spec.disk_filling.value,
    )


def _more_people(view: View) -> str:
    """Who must still accept the loss."""
    first = approvals.first_person(view)
    if first is not None:
        return f" (accepted by {first.by}; somebody else must say the same)"
    return ", by two different people" if view.two_people else ""


def _silent_advice(view: View) -> str:
    if view.primary is None and view.backup is None:
        return UNKNOWN_ADVICE
    moves = "`saling failover {service}` moves it." if view.record.paused else ""
    return SILENT_ADVICE.replace("{paused_advice}", moves)


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
