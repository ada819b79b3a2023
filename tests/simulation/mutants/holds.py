"""Integrity holds: nobody is moved under one, and it ends by its time or by a person."""

from __future__ import annotations

from msgspec.structs import replace

from controller.core import hold_conditions, phases
from controller.core import step as controller_step
from controller.core.effects import place_hold
from controller.core.model import Phase, Record, ServiceSpec, ServiceState
from controller.core.row import Row
from simulator.strike import Strike
from tests.simulation.mutants.base import (
    Mutant,
    Patch,
    allow_any_change,
    always,
    ask_instead,
    set_rows,
)
from tests.simulation.night import Night


def hold_is_ignored(patch: Patch) -> None:
    """Failovers and moves go on under an integrity hold."""
    always(patch, hold_conditions.not_on_hold)
    allow_any_change(patch)


def hold_stops_no_countdown(patch: Patch) -> None:
    """It keeps a countdown from beginning, and lets one that has begun end in a promotion."""
    ask_instead(
        patch,
        hold_conditions.not_on_hold,
        lambda view: view.record.hold is None or view.record.phase is Phase.COUNTDOWN,
    )
    allow_any_change(patch)


def hold_lets_a_drain_end(patch: Patch) -> None:
    """A move that is under way ends in a promotion."""

    def kept() -> tuple[Row, ...]:
        return tuple(
            row
            if (row.name, row.source) != ("integrity_hold", Phase.DRAINING)
            else Row(row.name, row.source, Phase.DRAINING, row.when, row.because, place_hold)
            for row in phases.TABLE
        )

    set_rows(patch, kept())
    allow_any_change(patch)


def hold_ends_with_the_controller(patch: Patch) -> None:
    """A controller that begins to lead knows of no hold."""
    begin = controller_step._begin_service

    def forgetful(spec: ServiceSpec, record: Record, now_ms: int) -> ServiceState:
        return begin(spec, replace(record, hold=None), now_ms)

    patch.setattr(controller_step, "_begin_service", forgetful)


def hold_ends_after_a_quarter(patch: Patch) -> None:
    """It is over when the first quarter of its time is."""
    ask_instead(patch, hold_conditions.time_is_over, hold_conditions.quarter_is_over.test)


_LOST = Strike(9_000, "isolate", ("alpha",), 12_000)
"""COUNTDOWN from about 10 s to about 11 s, then bravo is promoted."""
_HOLD = Strike(8_000, "hold", ("s1",), 30_000)

MUTANTS = (
    Mutant(hold_is_ignored, "holds", ("hold",), "holds", night=Night(_HOLD, _LOST)),
    Mutant(
        hold_stops_no_countdown, "holds", ("hold",), "holds", seconds=20,
        night=Night(_LOST, *(Strike(10_000 + 100 * n, "hold", ("s1",), 30_000) for n in range(9))),
    ),
    Mutant(
        hold_lets_a_drain_end, "holds", ("hold",), "holds", seconds=20,
        night=Night(
            Strike(9_000, "switchover", ("s1",)),
            *(Strike(9_000 + 20 * n, "hold", ("s1",), 30_000) for n in range(1, 9)),
        ),
    ),
    Mutant(
        hold_ends_with_the_controller, "holds", ("hold",), "holds", seconds=20,
        night=Night(
            _HOLD, Strike(9_000, "crash-controller", (), 500), Strike(12_000, "pause", ("s1",))
        ),
    ),
    Mutant(
        hold_ends_after_a_quarter, "holds", ("hold",), "holds", seconds=25,
        night=Night(Strike(8_000, "hold", ("s1",), 20_000)),
    ),
)  # fmt: skip
