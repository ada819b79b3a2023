"""Why the rules do not do what an operator asks for, and what would really make it possible."""

from __future__ import annotations

from controller.core.actions import Answer
from controller.core.conditions import maintenance as maintenance_conditions
from controller.core.conditions import stage as stages
from controller.core.conditions.block import may_stand_alone
from controller.core.conditions.condition import ASKED_FOR
from controller.core.conditions.facts import told
from controller.core.conditions.pair import backup_stands, primary_proves
from controller.core.conditions.room import held_in_countdown
from controller.core.events import Kind, Requested
from controller.core.gates import approvals
from controller.core.model import HeldFor, Phase
from controller.core.moment.view import View
from controller.core.phases import TABLE
from controller.core.rows.row import Row
from protocol.messages import ReplicaReport

FORCE = (
    "only if its host is off for good, and stays off: `saling failover {service} --force --epoch "
    "{epoch} --reason TEXT`, then the same with `--proof TEXT` by somebody else; it loses "
    "{estimated_loss} of {loss_time} at most, and what {primary} commits until it is off"
)
NO_FORCE = (
    "a force would be refused ({}): where that cannot be mended without the old site, only that "
    "site or a restore from a backup helps"
)
FORCES = (Kind.FORCE, Kind.PROVE, Kind.END_FORCE)
MOVES = (Kind.SWITCHOVER, Kind.FAILOVER)
FORCE_WAY_ON = (
    "as somebody else state the proof, `saling failover {service} --force --epoch {epoch} --proof "
    "TEXT`, or take it back, `saling failover {service} --force --give-up`"
)
APPROVAL = (
    "`saling approve {service} --epoch {epoch} --loss-bytes {loss_bytes} --loss-seconds "
    "{loss_seconds} --reason TEXT`"
)
OVER_CAPACITY = "`saling approve {service} --epoch {epoch} --reason TEXT`"
INSTEAD = {
    HeldFor.LOSS: f"here: {APPROVAL}",
    HeldFor.CAPACITY: f"here: room at {{backup_site}}, or {OVER_CAPACITY}",
    HeldFor.RESTORED: "here: `saling approve {service} --epoch {epoch} --reason TEXT`",
    HeldFor.ADOPTION: "here both agents must be heard",
}
"""What helps a held service that no force helps."""


def rows_for(kind: Kind) -> tuple[Row, ...]:
    """The rows that serve an operator's request."""
    return tuple(row for row in TABLE if ASKED_FOR[kind] in row.asks)


def refuse(view: View, event: Requested, rows: list[Row]) -> Answer:
    """The answer when none of the rows that serve the request holds; `rows` of this phase."""
    record = view.record
    if event.kind in MOVES and record.operation is not None and not held_in_countdown(view):
        under_way = record.operation
        text = (
            f"{under_way.kind} {under_way.id} of {record.service}, by {under_way.by}, is under "
            f"way: {record.because}"
        )
        return Answer(event.id, False, text, _way_on(view), conflict=True)
    if event.kind is Kind.FORCE and record.held_for is HeldFor.FORCED:
        text = f"the force was asked for already: {record.because}"
        return Answer(event.id, False, text, _way_on(view), conflict=True)
    if event.kind in FORCES and record.phase is Phase.HELD:
        needs = HeldFor.ILLNESS if event.kind is Kind.FORCE else HeldFor.FORCED
        rows = [row for row in rows if record.held_for is needs]
    if rows:
        unmet = min((row.unmet(view) for row in rows), key=len)
        text = f"{event.kind.value} of {record.service} is refused"
        return Answer(event.id, False, text, (*_deaf(view), *unmet))
    phases = sorted({row.source.value for row in rows_for(event.kind)})
    text = (
        f"{event.kind.value} is possible in {' and '.join(phases)}; {record.service} is in "
        f"{record.phase.value}: {record.because}"
    )
    return Answer(event.id, False, text, (*_deaf(view), *_missing(view, event.kind, phases[0])))


def _missing(view: View, kind: Kind, phase: str) -> tuple[str, ...]:
    """What leads to the phase in which it is possible."""
    record = view.record
    if kind is Kind.FORCE:
        other = "else `saling failover {service}`, for its lease ends"
        return (
            "only a primary that stands alone is moved by force; "
            + _filled(INSTEAD.get(record.held_for, other), view),
        )
    if kind is Kind.PROVE:
        first = (
            "ask for it first: `saling failover {service} --force --epoch {epoch} --reason TEXT`"
        )
        return (_filled(first, view),)
    if kind is Kind.END_FORCE:
        return ("no force is asked for",)
    if kind in MOVES and held_in_countdown(view):
        loss = view.record.held_for is HeldFor.LOSS
        needs = f"somebody must accept the loss: {APPROVAL}"
        room = f"{{room}}; somebody must let it come all the same: {OVER_CAPACITY}"
        return (_filled(needs if loss else room, view),)
    if _stands_alone(view) and not primary_proves(view):
        # Only it has what was committed since it stood alone; no phase helps without it.
        heard = f"is heard, but commits nothing: mend its engine ({doing(view.primary)})"
        lost = "is not heard: bring its site back"
        alone = (
            f"{record.primary} stood alone, so that nobody else has all that was committed, and "
            f"it {lost if view.primary is None else heard}"
        )
        refused = force_refused(view)
        return alone, NO_FORCE.format(refused) if refused else _filled(FORCE, view)
    missing = [f"{record.service} must be in {phase}"]
    if record.maintenance is not None:
        missing.append(maintenance_conditions.not_announced.sentence(view))
    if stages.backup_out_of_use(view):
        missing.append(stages.backup_in_use.sentence(view))
    return tuple(missing)


def force_refused(view: View) -> str:
    """What keeps a force from helping, and does not pass by itself; empty when nothing does."""
    needs = (backup_stands, may_stand_alone)
    return "; ".join(need.sentence(view) for need in needs if not need(view))


def _way_on(view: View) -> tuple[str, ...]:
    """What leads on from an operation that an end need not be waited for."""
    forced = view.record.held_for is HeldFor.FORCED
    return (_filled(FORCE_WAY_ON, view),) if forced else ()


def _filled(text: str, view: View) -> str:
    loss_bytes, loss_seconds = view.loss_bytes or 0, approvals.whole_seconds(view.loss_ms)
    return told(text, view, loss_bytes=loss_bytes, loss_seconds=loss_seconds)


def _stands_alone(view: View) -> bool:
    record = view.record
    ill = record.phase is Phase.HELD and record.held_for is HeldFor.ILLNESS
    return ill or record.phase in (Phase.ALONE, Phase.ARMING)


def doing(told: ReplicaReport | None) -> str:
    """What the agent of an engine that commits nothing says of it."""
    words = filter(None, (told.doing, told.problem, told.illness)) if told else ()
    return "; ".join(words) or "it says no more"


def _deaf(view: View) -> tuple[str, ...]:
    """That nobody is heard says more than each condition that follows from it."""
    if view.primary is not None or view.backup is not None:
        return ()
    if view.others.hears_anybody:
        names = " nor ".join(filter(None, (view.record.primary, view.record.backup)))
        return (f"the controller hears neither {names}: look at their hosts and their brokers",)
    return (
        "the controller hears no agent at all: look at the brokers and at its way to them "
        "(`saling status` says which are connected)",
    )
