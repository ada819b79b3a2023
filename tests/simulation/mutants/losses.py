"""Rules 11, 12 and 14: what a promotion loses, sync mode, and the return of an old primary."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from agents.core import engine, holder, rest_of_log
from agents.core.model import Replica
from controller.core.conditions import pair as conditions
from controller.core.model import LastWord
from controller.core.moment import loss, view
from controller.core.orders import assignments
from protocol.messages import Assignment, Goal
from simulator.parts.engine import Engine
from simulator.strike import Strike
from tests.simulation.mutants.base import LATE_LOG, Mutant, Patch, always, drop_rows
from tests.simulation.night import Night


def any_loss_is_bearable(patch: Patch) -> None:
    """The bound on lost data is not asked for."""
    always(patch, conditions.loss_bearable)
    drop_rows(patch, "loss_too_large")


def last_position_is_final(patch: Patch) -> None:
    """The loss is counted from the last position heard, as if nothing was written since."""
    word = loss.last_word

    def frozen(service: Any, now_ms: int) -> LastWord | None:
        known = word(service, now_ms)
        return replace(known, exposed_ms=0) if known else None

    patch.setattr(loss, "last_word", frozen)


def lag_is_not_asked_for(patch: Patch) -> None:
    """A backup that streams is trusted, however far behind it is."""
    patch.setattr(view, "FOLLOW_CLOSELY_BYTES", 2**62)


def unknown_loss_is_none(patch: Patch) -> None:
    """A loss that nobody can know counts as none."""
    estimate = loss.estimate_bytes
    patch.setattr(loss, "estimate_bytes", lambda *known: estimate(*known) or 0)


def log_is_taken_before_the_fence(patch: Patch) -> None:
    """A backup takes the log of a primary that may still write, and believes that it is whole."""
    patch.setattr(rest_of_log, "refusal", lambda _replica, _agent, _revision: "")
    patch.setattr(assignments, "_log_is_wanted", lambda _service: True)


def sync_is_not_waited_for(patch: Patch) -> None:
    """The backup is eligible again before commits wait for it."""
    arms = holder._arms

    def eager(replica: Replica, assignment: Any, name: str, granted: Any) -> bool:
        return arms(replica, replace(assignment, sync=False), name, granted)

    patch.setattr(holder, "_arms", eager)
    patch.setattr(engine, "_sync_with", lambda _assignment: "")


def sync_is_believed_before_the_log_is_there(patch: Patch) -> None:
    """The backup is eligible once the engine calls it sync, with older commits still missing."""

    def named(replica: Replica, partner: str, _received_bytes: int) -> bool:
        return replica.sync_with == partner and replica.observation.sync_active

    patch.setattr(holder, "_synced", named)


def sync_is_relaxed_before_the_store_knows(patch: Patch) -> None:
    """A primary whose backup is silent commits without it while it is still eligible."""
    write = Engine.write

    def hasty(copy: Engine, size: int) -> None:
        write(copy, size)
        silent_ms = copy._kernel.now_ms - copy.confirmed_ms
        if copy.writable and copy.sync_with and 1000 < silent_ms < copy._kernel.now_ms:
            copy.history.acknowledge(copy.timeline, copy.position)

    patch.setattr(Engine, "write", hasty)


def old_primary_is_not_rewound(patch: Patch) -> None:
    """A copy that holds what nobody else has is started as a backup, again and again."""
    wish = engine._backup_wish

    def careless(replica: Replica, assignment: Assignment, now_ms: int) -> engine.Wish | None:
        durable = replace(replica.durable, diverged=False)
        seen = replace(replica.observation, stranded="")
        replica = replace(replica, durable=durable, observation=seen, failures=0)
        return wish(replica, assignment, now_ms)

    patch.setitem(engine._WISHES, Goal.BACKUP, careless)


def illness_that_travels_is_no_reason(patch: Patch) -> None:
    """Commits that fail for a reason that the backup shares end in a promotion."""
    drop_rows(patch, "illness", "illness_in_countdown")
    patch.setattr("agents.core.holder.PROBES_TO_BE_ILL", 10**6)


LOSS = Night(
    Strike(8_000, "cut", ("alpha", "bravo"), 20_000),
    Strike(13_000, "isolate", ("alpha",), 20_000),
    loss_bound_bytes=30_000,
)
"""A primary writes on for seconds without its backup before it is lost."""

SILENT_WRITER = Night(
    Strike(9_000, "isolate", ("alpha",), 20_000),
    lease="standard",
    loss_bound_bytes=30_000,
)
"""A primary writes on under its lease while nobody hears of it."""

FAR_BEHIND = Night(
    Strike(9_000, "crash-host", ("bravo",), 1_000),
    Strike(10_500, "slow-log", ("alpha", "bravo", "20000"), 40_000),
    loss_bound_bytes=2_000_000,
    write_bytes=50_000,
)
"""A backup comes back, and streams what is 20 s old."""

UNKNOWN_LOSS = Night(
    Strike(8_000, "cut", ("alpha", "bravo"), 20_000),
    Strike(13_000, "isolate", ("alpha",), 20_000),
    Strike(13_100, "crash-controller", (), 50),
    Strike(13_100, "kill-agent", ("bravo",), 50),
    loss_bound_bytes=30_000,
)
"""The same, and then nobody knows any more how far it was."""

ILLNESS = Night(Strike(9_000, "fail-commits-everywhere", ("s1",), 20_000))
"""Nothing is the matter but that nobody can commit."""


def new_protection_is_ignored(patch: Patch) -> None:
    """The configuration asks for another protection, and nothing comes of it."""
    drop_rows(patch, "new_protection")


MUTANTS = (
    Mutant(new_protection_is_ignored, "12", ("I11",), "configuration"),
    Mutant(any_loss_is_bearable, "11", ("approval", "I4"), night=LOSS),
    Mutant(last_position_is_final, "11", ("I4",), seconds=25, night=SILENT_WRITER),
    Mutant(lag_is_not_asked_for, "11", ("distance",), seconds=50, night=FAR_BEHIND),
    Mutant(unknown_loss_is_none, "11", ("I4",), night=UNKNOWN_LOSS),
    Mutant(log_is_taken_before_the_fence, "11", ("I4",), "corner"),
    Mutant(sync_is_not_waited_for, "12", ("I3",)),
    Mutant(sync_is_believed_before_the_log_is_there, "12", ("I3",), seconds=40, night=LATE_LOG),
    Mutant(sync_is_relaxed_before_the_store_knows, "12", ("I3",)),
    Mutant(old_primary_is_not_rewound, "14", ("I11",)),
    Mutant(illness_that_travels_is_no_reason, "illness", ("illness",), night=ILLNESS),
)
