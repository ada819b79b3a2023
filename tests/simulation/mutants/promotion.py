"""Rule 6 and 10: who must have stopped before another writes, what counts as proof, the veto."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from agents.core import grantor, orders, permission, reporting
from agents.core import step as agent_step
from agents.core.model import Durable, Replica
from controller.core import phases
from controller.core.conditions import pair as conditions
from controller.core.model import Phase, Protection, ServiceState
from controller.core.moment import view
from controller.core.orders import assignments, leases
from controller.core.rows.row import Row
from protocol.messages import Ask, Goal
from protocol.windows import grantor_window_ms
from simulator.parts.host import Host
from simulator.strike import Strike
from tests.simulation.mutants.base import (
    FENCED,
    WRITERS,
    Mutant,
    Patch,
    allow_any_change,
    allow_any_step,
    always,
    ask_instead,
    drop_rows,
    set_rows,
)
from tests.simulation.night import Night


def nobody_waits(patch: Patch) -> None:
    """A promotion does not wait until the leases ran out."""
    always(patch, conditions.fence_certain)


def backup_is_not_waited_for(patch: Patch) -> None:
    """A promotion waits for the controller's own promise, not for the backup's."""
    ask_instead(patch, conditions.promises_over, lambda v: v.own_promise_left_ms == 0)


def controller_is_not_waited_for(patch: Patch) -> None:
    """A promotion waits for the backup's promise, not for the controller's own."""

    def backup_only(v: view.View) -> bool:
        report = v.backup_now
        return report is not None and report.stopped and report.promise_left_ms == 0

    ask_instead(patch, conditions.promises_over, backup_only)


def stop_is_not_ordered(patch: Patch) -> None:
    """The controller waits for as long as a lease lasts, and does not tell the backup to stop."""
    countdown = assignments.ORDERS[Phase.COUNTDOWN]._replace(backup_grants=True)
    patch.setitem(assignments.ORDERS, Phase.COUNTDOWN, countdown)

    def waited(v: view.View) -> bool:
        lasts_ms = grantor_window_ms(v.record.terms.ttl_ms)
        return v.own_promise_left_ms == 0 and v.in_phase_ms >= lasts_ms

    ask_instead(patch, conditions.promises_over, waited)


def stop_is_forgotten(patch: Patch) -> None:
    """A backup forgets with its life that it must stop, and grants under the revision before."""
    write = Host.write

    def forget(host: Host, uid: str, durable: Durable) -> None:
        order = durable.assignment
        if order is None or order.goal is not Goal.BACKUP or not order.countdown:
            write(host, uid, durable)

    patch.setattr(Host, "write", forget)


def stopped_backup_grants_on(patch: Patch) -> None:
    """A backup says that it stopped, and gives the next lease that it is asked for."""
    refuse = grantor._refusal

    def generous(replica: Replica, agent: str, ask: Ask) -> str:
        why = refuse(replica, agent, ask)
        return "" if why.endswith("grant no more") else why

    patch.setattr(grantor, "_refusal", generous)


def controller_grants_in_countdown(patch: Patch) -> None:
    """A COUNTDOWN goes on though the primary commits, and extends the lease that it waits for.

    That nobody grants in it is a second lock: whoever proves a commit ends it in the same step.
    """
    drop_rows(patch, "primary_back")
    patch.setattr(leases, "controller_grants", lambda _record: True)
    answer = leases.answer

    def forgetful(service: ServiceState, agent: str, ask: Ask, now_ms: int) -> Any:
        after, granted = answer(service, agent, ask, now_ms)
        return (service if service.record.phase is Phase.COUNTDOWN else after), granted

    patch.setattr(leases, "answer", forgetful)


def lower_revisions_are_taken(patch: Patch) -> None:
    """An agent takes every Order that comes, the late ones too."""
    patch.setattr(orders, "_is_stale", lambda known, order: order.revision == known.revision)
    allow_any_step(patch)


def stale_reports_count(patch: Patch) -> None:
    """What was reported under an earlier revision counts under the present one."""
    patch.setattr(view.View, "_counting", lambda _view, report: report)


def fence_is_promised_for_ever(patch: Patch) -> None:
    """The proof of a fence is not bound to the revision under which it was given."""
    patch.setattr(reporting, "_promised", lambda _replica, revision: revision > 0)


def fence_is_promised_by_who_still_writes(patch: Patch) -> None:
    """A primary in a COUNTDOWN promises its fence when it is told to, not when it is done."""
    drive = agent_step._drive

    def early(replica: Replica, now_ms: int) -> Any:
        assignment = permission.reigning(replica)
        if assignment and assignment.countdown:
            durable = replace(replica.durable, fenced_revision=assignment.revision)
            replica = replace(replica, durable=durable)
        return drive(replica, now_ms)

    patch.setattr(agent_step, "_drive", early)
    permitted = permission.permit_now

    def still(replica: Replica, now_ms: int) -> Any:
        durable = replace(replica.durable, fenced_revision=0)
        return permitted(replace(replica, durable=durable), now_ms)

    patch.setattr(agent_step, "permit_now", still)
    allow_any_step(patch)


def way_back_after_the_swap(patch: Patch) -> None:
    """A promotion under way is taken back when the old primary is heard again."""

    def restore(v: view.View) -> dict[str, Any]:
        return {"primary": v.record.backup, "backup": v.record.primary}

    back = Row(
        "promotion_taken_back", Phase.PROMOTING, Phase.ALONE, (conditions.both_heard,),
        "{backup} is back: {primary} shall not be promoted", restore,
    )  # fmt: skip
    set_rows(patch, (back, *phases.TABLE))
    allow_any_change(patch)


def no_way_back_before_the_swap(patch: Patch) -> None:
    """A COUNTDOWN goes on though the primary is heard or the backup is lost."""
    drop_rows(
        patch, "primary_back", "backup_refuses", "backup_lost_in_countdown", "illness_in_countdown"
    )


def alone_is_counted_down(patch: Patch) -> None:
    """A primary that stands alone is counted down as one with a lease is."""
    row = Row(
        "alone_silent", Phase.ALONE, Phase.COUNTDOWN,
        (conditions.primary_silent, conditions.backup_stands),
        "{primary} has proved no commit for {silence}",
    )  # fmt: skip
    set_rows(patch, (row, *phases.TABLE))


def backup_vetoes_nothing(patch: Patch) -> None:
    """The backup stops granting though it hears the primary commit."""
    patch.setattr(orders, "_refuses", lambda _replica, _order, _now_ms: False)
    always(patch, conditions.backup_hears_nothing)


def controller_vetoes_nothing(patch: Patch) -> None:
    """The controller begins a COUNTDOWN though the primary proves its commits to it."""
    always(patch, conditions.primary_silent)
    drop_rows(patch, "primary_back")


STOPPED_UNHEARD = (
    Strike(11_000, "cut", ("alpha", "bravo"), 6_750),
    Strike(14_000, "cut", ("alpha", "hub"), 30_000),
    Strike(17_701, "cut-one-way", ("bravo", "hub"), 3_000),
)
LOST_STOP = Night(*STOPPED_UNHEARD, Strike(17_700, "kill-agent", ("bravo",), 20), lease="standard")
"""A backup stopped and said so, and the controller waits for its own promise alone. Then the
backup's agent restarts, is not heard any more, and is asked by the primary again."""

LOST_BACKUP = Night(*STOPPED_UNHEARD, lease="standard")
"""The same, but that nothing restarts."""

ONE_GRANTOR_BLINKS = Night(
    Strike(9_000, "cut", ("alpha", "hub"), 20_000),
    Strike(11_500, "cut", ("alpha", "bravo"), 1_100),
)
"""A primary has its backup's leases only, and gets none for so long that a COUNTDOWN begins."""

FENCED_BEFORE = Night(
    Strike(8_000, "cut", ("alpha", "bravo"), 9_000),
    Strike(11_000, "isolate", ("alpha",), 4_000),
    Strike(26_000, "hang-engine", ("alpha", "s1"), 10_000),
    lease="tight",
    loss_bound_bytes=20_000,
)
"""A primary is fenced, comes back with all its data, and much later its disk stands still."""

NO_WAY_TO_CONTROLLER = Night(Strike(9_000, "cut", ("alpha", "hub"), 20_000))
NO_WAY_TO_BACKUP = Night(Strike(9_000, "cut", ("alpha", "bravo"), 20_000))

BOTH_BLINK = Night(
    Strike(9_000, "cut", ("alpha", "hub"), 3_700),
    Strike(9_000, "cut", ("alpha", "bravo"), 3_700),
    lease="standard",
)
"""A primary is heard again in the middle of a COUNTDOWN, with its lease still live."""

HEARD_ONCE = Night(
    Strike(9_000, "cut", ("alpha", "hub"), 3_500),
    Strike(9_000, "cut", ("alpha", "bravo"), 7_500),
    Strike(13_100, "isolate", ("alpha",), 20_000),
    lease="standard",
    protection=Protection.SYNC,
)
"""A primary is heard for a moment in a COUNTDOWN, and then no more, with its lease still live."""

OLD_ORDERS = Night(
    Strike(9_000, "replay", ("hub", "alpha", "3"), 50),
    Strike(9_001, "replay", ("hub", "alpha", "3"), 50),
    Strike(9_040, "isolate", ("alpha",), 20_000),
)
"""A few old messages of the controller come again, and then nobody is heard any more."""

MUTANTS = (
    Mutant(nobody_waits, "6", WRITERS),
    Mutant(backup_is_not_waited_for, "1, 6", WRITERS, "corner"),
    Mutant(controller_is_not_waited_for, "1, 6", WRITERS, "corner"),
    Mutant(stop_is_not_ordered, "6", WRITERS, night=ONE_GRANTOR_BLINKS),
    Mutant(stop_is_forgotten, "6", WRITERS, seconds=25, night=LOST_STOP),
    Mutant(stopped_backup_grants_on, "6", WRITERS, seconds=25, night=LOST_BACKUP),
    Mutant(controller_grants_in_countdown, "6", WRITERS, seconds=25, night=BOTH_BLINK),
    Mutant(lower_revisions_are_taken, "0, 6", WRITERS, "network", seconds=25, night=OLD_ORDERS),
    Mutant(stale_reports_count, "0, 6", WRITERS, "corner", seconds=25),
    Mutant(fence_is_promised_for_ever, "6", (*WRITERS, "I3"), seconds=35, night=FENCED_BEFORE),
    Mutant(fence_is_promised_by_who_still_writes, "6", WRITERS, seconds=25, night=HEARD_ONCE),
    Mutant(way_back_after_the_swap, "6", ("I2",)),
    Mutant(no_way_back_before_the_swap, "6", FENCED, "one_site", night=BOTH_BLINK),
    Mutant(alone_is_counted_down, "8", WRITERS),
    Mutant(backup_vetoes_nothing, "10", FENCED, "one_site", night=NO_WAY_TO_CONTROLLER),
    Mutant(controller_vetoes_nothing, "10", FENCED, "one_site", night=NO_WAY_TO_BACKUP),
)
