"""Why the rules do not do what an operator asks for, and what would really make it possible."""

from __future__ import annotations

from controller.core import maintenance_conditions
from controller.core.actions import Answer
from controller.core.conditions import primary_proves
from controller.core.events import Kind, Requested
from controller.core.facts import facts
from controller.core.model import HeldFor, Phase, State
from controller.core.phases import TABLE
from controller.core.row import Row
from controller.core.view import View
from protocol.messages import ReplicaReport

FORCE = (
    "only if its host is off for good, and stays off: `saling failover {service} --force --epoch "
    "{epoch} --reason TEXT`, then the same with `--proof TEXT` by somebody else; it loses "
    "{estimated_loss} of {loss_time} at most, and what {primary} commits until it is off"
)
FORCES = (Kind.FORCE, Kind.PROVE, Kind.END_FORCE)
MOVES = (Kind.SWITCHOVER, Kind.FAILOVER)


def rows_for(kind: Kind) -> tuple[Row, ...]:
    """The rows that serve an operator's request."""
    name = f"asked_for_{kind.value}"
    return tuple(row for row in TABLE if any(condition.name == name for condition in row.when))


def refuse(state: State, view: View, event: Requested, rows: list[Row]) -> Answer:
    """The answer when none of the rows that serve the request holds; `rows` of this phase."""
    record = view.record
    if event.kind in MOVES and record.operation is not None:
        under_way = record.operation
        text = (
            f"{under_way.kind} {under_way.id} of {record.service}, by {under_way.by}, is under "
            f"way: {record.because}"
        )
        return Answer(event.id, False, text, conflict=True)
    if event.kind is Kind.FORCE and record.held_for is HeldFor.FORCED:
        text = f"the force was asked for already: {record.because}"
        return Answer(event.id, False, text, conflict=True)
    if event.kind is not Kind.FORCE and event.kind in FORCES:
        rows = [row for row in rows if record.held_for is HeldFor.FORCED]
    if rows:
        unmet = min((row.unmet(view) for row in rows), key=len)
        text = f"{event.kind.value} of {record.service} is refused"
        return Answer(event.id, False, text, (*_deaf(state, view), *unmet))
    phases = sorted({row.source.value for row in rows_for(event.kind)})
    text = (
        f"{event.kind.value} is possible in {' and '.join(phases)}; {record.service} is in "
        f"{record.phase.value}: {record.because}"
    )
    return Answer(
        event.id, False, text, (*_deaf(state, view), *_missing(view, event.kind, phases[0]))
    )


def _missing(view: View, kind: Kind, phase: str) -> tuple[str, ...]:
    """What leads to the phase in which it is possible."""
    record = view.record
    if kind is Kind.FORCE:
        return (
            f"only a primary that stands alone is moved by force; else `saling failover "
            f"{record.service}`, for its lease ends",
        )
    if kind in FORCES:
        return (f"ask for it first: `saling failover {record.service} --force --reason TEXT`",)
    if _stands_alone(view) and not primary_proves(view):
        # Only it has what was committed since it stood alone; no phase helps without it.
        heard = f"is heard, but commits nothing: mend its engine ({doing(view.primary)})"
        lost = "is not heard: bring its site back"
        return (
            f"{record.primary} stood alone, so that nobody else has all that was committed, and "
            f"it {lost if view.primary is None else heard}",
            FORCE.format(**facts(view)),
        )
    missing = [f"{record.service} must be in {phase}"]
    if record.maintenance is not None:
        missing.append(maintenance_conditions.not_announced.sentence(view))
    return tuple(missing)


def _stands_alone(view: View) -> bool:
    record = view.record
    ill = record.phase is Phase.HELD and record.held_for is HeldFor.ILLNESS
    return ill or record.phase in (Phase.ALONE, Phase.ARMING)


def doing(told: ReplicaReport | None) -> str:
    """What the agent of an engine that commits nothing says of it."""
    words = filter(None, (told.doing, told.problem, told.illness)) if told else ()
    return "; ".join(words) or "it says no more"


def _deaf(state: State, view: View) -> tuple[str, ...]:
    """That nobody is heard says more than each condition that follows from it."""
    if view.primary is not None or view.backup is not None:
        return ()
    others = [View(service, view.now_ms) for service in state.services.values()]
    if any(other.primary is not None or other.backup is not None for other in others):
        names = " nor ".join(filter(None, (view.record.primary, view.record.backup)))
        return (f"the controller hears neither {names}: look at their hosts and their brokers",)
    return (
        "the controller hears no agent at all: look at the brokers and at its way to them "
        "(`saling status` says which are connected)",
    )
