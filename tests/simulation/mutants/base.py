"""What a mutant is: one rule dropped or misread on purpose, and how it shows.

A mutant is applied to the shipped modules, or to a simulated shell where the rule lives in a
shell, by the tests alone and is taken back afterwards. Nothing that ships knows of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from agents.core import step as agent_step
from controller.core import phases
from controller.core.conditions import approval as approval_conditions
from controller.core.conditions import disk as disk_conditions
from controller.core.conditions import force as force_conditions
from controller.core.conditions import hold as hold_conditions
from controller.core.conditions import pair as conditions
from controller.core.conditions import room as room_conditions
from controller.core.conditions import veto as veto_conditions
from controller.core.conditions.condition import Condition
from controller.core.explanation import explain, refusal
from controller.core.model import Phase, Protection
from controller.core.moment.view import View
from controller.core.rows import change
from controller.core.rows.row import Row
from simulator.run import Result, run
from simulator.strike import Strike
from tests.simulation.night import Night

Patch = pytest.MonkeyPatch

WRITERS = ("I1", "I5")
"""Two writers, or one without a right to write: the first is seldom far behind the second."""
FENCED = ("I6", "I7")


LATE_LOG = Night(
    Strike(9_000, "crash-host", ("bravo",), 1_000),
    Strike(10_500, "slow-log", ("alpha", "bravo", "8000"), 40_000),
    Strike(24_000, "crash-host", ("alpha",), 15_000),
    protection=Protection.SYNC,
)
"""A backup that comes back gets the log late, and then the primary is lost."""


@dataclass(frozen=True)
class Mutant:
    """One misreading, the rule it drops, the promises that must break, and how soon."""

    apply: Callable[[Patch], None]
    rule: str
    """The number of the rule of the design, or of several."""
    caught_as: tuple[str, ...]
    profile: str = "everything"
    seeds_at_most: int = 250
    """Far more than it needs: any change of the worlds deals the seeds anew."""
    seconds: int = 12
    night: Night | None = None
    """What happens, where chance brings it about too seldom."""

    @property
    def name(self) -> str:
        return self.apply.__name__

    def live(self, seed: int) -> Result:
        """One world with this mistake in it, drawn by fate or as the night will have it."""
        if not self.night:
            return run(seed, self.profile, self.seconds)
        return self.night.live(seed, self.profile, self.seconds)

    @property
    def mistake(self) -> str:
        """The misreading, in a sentence."""
        return (self.apply.__doc__ or "").splitlines()[0]


def set_rows(patch: Patch, rows: tuple[Row, ...]) -> None:
    """Put another table of phases in the place of the shipped one."""
    by_phase = {phase: tuple(row for row in rows if row.source is phase) for phase in Phase}
    patch.setattr(phases, "TABLE", rows)
    patch.setattr(phases, "ROWS_FROM", by_phase)
    patch.setattr(refusal, "TABLE", rows)
    patch.setattr(explain, "ROWS_FROM", by_phase)


def change_rows(patch: Patch, change: Callable[[Row], Row]) -> None:
    """The table with some of its rows changed."""
    set_rows(patch, tuple(change(row) for row in phases.TABLE))


def drop_rows(patch: Patch, *names: str) -> None:
    """The table without these rows."""
    set_rows(patch, tuple(row for row in phases.TABLE if row.name not in names))


def ask_instead(patch: Patch, condition: Condition, test: Callable[[View], bool]) -> None:
    """Ask something else where this condition is asked, in the table and beyond."""
    mutant = replace(condition, test=test)
    change_rows(patch, lambda row: _with(row, mutant))
    asked = (
        conditions, approval_conditions, disk_conditions, force_conditions, hold_conditions,
        room_conditions, veto_conditions,
    )  # fmt: skip
    for module in asked:
        if hasattr(module, condition.name):
            patch.setattr(module, condition.name, mutant)


def always(patch: Patch, condition: Condition) -> None:
    """Let a condition hold at once."""
    ask_instead(patch, condition, lambda _view: True)


def allow_any_change(patch: Patch) -> None:
    """Take away the controller's own last check, so that a checker must see the harm."""
    patch.setattr(change, "check_change", lambda _old, _new: None)


def allow_any_step(patch: Patch) -> None:
    """Take away the agent's own last check, so that a checker must see the harm."""
    patch.setattr(agent_step, "check", lambda _before, _after: None)


def _with(row: Row, mutant: Condition) -> Row:
    return replace(row, when=tuple(mutant if c.name == mutant.name else c for c in row.when))
